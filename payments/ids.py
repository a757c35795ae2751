"""Prefixed ULIDs: ids that sort by time, and whose prefix shows what they identify.

A ULID is 48 bits of milliseconds and 80 random bits in Crockford's base 32 (https://github.com/ulid/spec).
Within one process they are strictly increasing, even within one millisecond.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from typing import Final

MAX_LENGTH: Final = 64
"""The maximum length of a text key: a prefix, 26 characters, and room for longer keys of a shop."""

_KEY: Final = re.compile(rf"[\w.-]{{1,{MAX_LENGTH}}}", re.ASCII)
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS: Final = 80
_LENGTH: Final = 26

_lock = threading.Lock()
_last = 0


def new_ulid() -> str:
    """Return a ULID greater than any that this process returned before."""
    global _last  # noqa: PLW0603 - strictly increasing needs the last one, under the lock
    fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        _last = fresh if fresh > _last else _last + 1
        value = _last
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))


def is_key(text: str) -> bool:
    """Return whether a row can have this key; no database need be able to spell what can't."""
    return _KEY.fullmatch(text) is not None


def new_id(prefix: str) -> str:
    """Return `prefix`, an underscore and a new ULID."""
    return f"{prefix}_{new_ulid()}"


def new_collection_id() -> str:
    """Return an id for a payment collection."""
    return new_id("pay_col")


def new_session_id() -> str:
    """Return an id for a payment session."""
    return new_id("payses")


def new_payment_id() -> str:
    """Return an id for a payment."""
    return new_id("pay")


def new_capture_id() -> str:
    """Return an id for a capture."""
    return new_id("capt")


def new_refund_id() -> str:
    """Return an id for a refund."""
    return new_id("ref")


def new_refund_reason_id() -> str:
    """Return an id for a refund reason."""
    return new_id("refr")


def new_operation_id() -> str:
    """Return an id for an operation."""
    return new_id("payop")


def new_account_holder_id() -> str:
    """Return an id for an account holder."""
    return new_id("acchld")


def new_webhook_event_id() -> str:
    """Return an id for a stored webhook event."""
    return new_id("paywh")
