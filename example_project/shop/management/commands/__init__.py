"""`demo` and `walkthrough`."""
