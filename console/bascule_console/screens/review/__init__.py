"""The last look before a change is made."""
