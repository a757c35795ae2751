"""Management commands of the example shop."""
