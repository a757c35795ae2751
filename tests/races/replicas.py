"""A project whose reads go to a replica, as the router of Django's own documentation has it.

The replica refuses: so every read that isn't pinned to the writer shows, however small its lag would have been.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import connections, models
from django.test import override_settings

from tests.races.absent.base import asked_by

REPLICA = "replica"


class PrimaryReplicaRouter:
    """Read what belongs to `payments` from the replica, and write to the primary."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        """Name the replica."""
        return REPLICA if model._meta.app_label == "payments" else None

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str:
        """Name the primary."""
        return "default"

    def allow_relation(self, one: models.Model, other: models.Model, **hints: Any) -> bool:
        """Allow relations: both databases have the same rows."""
        return True


@contextmanager
def reads_from_a_replica() -> Iterator[None]:
    """Have a replica inside the block, and see that nobody has read from it; a test reads its own rows after it."""
    asked_by.clear()
    connections.settings[REPLICA] = {
        **connections.settings["default"],
        "ENGINE": "tests.races.absent",
        "NAME": ":memory:",
        "OPTIONS": {},
    }
    try:
        with override_settings(DATABASE_ROUTERS=["tests.races.replicas.PrimaryReplicaRouter"]):
            yield
    finally:
        with suppress(AttributeError):  # nobody has asked for it
            del connections[REPLICA]
        del connections.settings[REPLICA]
    assert asked_by == [], f"what decides about money was read from the replica: {sorted(set(asked_by))}"
