"""A minimal shop: the rows that the tests let people pay for."""
