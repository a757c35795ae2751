"""Template tags of the example shop."""
