"""Where the tests of races look inside: the few names that are no part of what a shop may call."""

from __future__ import annotations

from payments.services.idempotency import LOCK as KEY_LOCK
from payments.services.ledger import locks
from payments.services.ledger.operations import Checkpoint, watching
from payments.services.ledger.outbox import LEASE as PUBLISHER_LEASE

__all__ = ["KEY_LOCK", "PUBLISHER_LEASE", "Checkpoint", "locks", "watching"]
