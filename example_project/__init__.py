"""A small shop that shows `payments` at work; it is not part of the distribution."""
