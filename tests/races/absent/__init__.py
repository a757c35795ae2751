"""A database backend for a server that nobody may ask: see `tests.races.replicas`."""
