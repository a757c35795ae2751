"""The books and everything that is written in them: private to the services. See `books` and `protocol`."""
