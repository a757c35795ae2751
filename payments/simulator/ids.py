"""Identifiers and secrets of the simulator's objects."""

from __future__ import annotations

import secrets
import time


def new_id(prefix: str) -> str:
    """Return an identifier that nobody can guess and that sorts by time, e.g. `int_019f...`."""
    return f"{prefix}_{time.time_ns() // 1000:013x}{secrets.token_hex(8)}"


def new_secret(prefix: str) -> str:
    """Return a secret of 192 random bits."""
    return f"{prefix}_{secrets.token_hex(24)}"
