"""The users of the project with hostile settings."""
