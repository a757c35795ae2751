"""Tests of the simulator: it is the oracle of all others, so it is tested to the last word."""

from __future__ import annotations
