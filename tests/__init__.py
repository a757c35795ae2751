"""Tests of `payments`, of the example project and of the packaging."""
