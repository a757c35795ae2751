"""The background work: workers process the rows that are due, and any number of them may run at the same time."""
