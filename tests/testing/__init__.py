"""Tests of what `payments.testing` gives to other test suites."""
