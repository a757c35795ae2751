"""Tests of the PayPal provider, against a strict fake of the endpoints that it uses."""
