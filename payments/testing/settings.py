"""Changing the `PAYMENTS` setting for as long as a test needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.test.utils import override_settings


@contextmanager
def configured_provider(alias: str, entry: Mapping[str, Any]) -> Iterator[None]:
    """Have `PAYMENTS["PROVIDERS"][alias]` be `entry` inside the block; all other settings stay.

    A test means pretend money, and test runners switch DEBUG off, so that is allowed too.
    """
    current = getattr(settings, "PAYMENTS", {})
    providers = {**current.get("PROVIDERS", {}), alias: entry}
    with override_settings(PAYMENTS={**current, "PROVIDERS": providers, "ALLOW_PRETEND_MONEY": True}):
        yield
