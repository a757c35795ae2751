"""The pages, one file per model, each a mixin."""
