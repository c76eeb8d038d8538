"""What the API says about its kinds: schemas of the built-ins and the OpenAPI v3 documents made of them."""
