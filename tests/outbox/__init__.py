"""Tests of how signal receivers learn of what was committed."""
