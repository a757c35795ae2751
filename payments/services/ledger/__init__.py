"""The books and all that is written in them: private to the services. See `books` and `protocol`."""
