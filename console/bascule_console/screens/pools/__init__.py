"""IPPools: which segment each serves, how full it is."""
