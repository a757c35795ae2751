"""Tests of `payments.money`."""
