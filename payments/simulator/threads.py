"""Threads that work beside the server: they look for what is due, and wait until there may be more."""

from __future__ import annotations

import abc
import threading
from typing import ClassVar

from payments.simulator.ledger import Ledger


class Worker(abc.ABC):
    """Do what is due in a thread, and look again whenever the ledger has changed."""

    thread_name: ClassVar[str]

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        ledger.on_commit.append(self._wake.set)

    def start(self) -> None:
        """Start doing what is due, also what an earlier process left."""
        self._stopping = stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(stopping,), name=self.thread_name, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop after what is in hand."""
        self._stopping.set()
        self._wake.set()
        if self._thread:
            self._thread.join(timeout=1)

    @abc.abstractmethod
    def _run(self, stopping: threading.Event) -> None:
        """Do what is due until it is time to stop."""
