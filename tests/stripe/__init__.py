"""Tests of the Stripe provider, against a strict fake of the endpoints that it uses."""
