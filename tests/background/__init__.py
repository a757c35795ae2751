"""Tests of whatever runs the background work: commands, worker processes, task queues."""
