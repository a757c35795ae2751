"""Where the tests find what isn't public: the named points of an operation, and the list of jobs."""

from __future__ import annotations

from payments.services.background.jobs import run_job
from payments.services.ledger.operations import Checkpoint, Watcher, watching
from payments.services.ledger.protocol import LATE

__all__ = ["LATE", "Checkpoint", "Watcher", "run_job", "watching"]
