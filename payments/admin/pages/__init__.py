"""The pages, one file per model."""
