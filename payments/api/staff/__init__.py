"""The operator's API: everything there is, each action behind a permission of its own."""
