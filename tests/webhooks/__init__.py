"""Tests of the way that provider events take: proven, stored, answered, applied once."""
