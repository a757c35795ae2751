"""Rows whose work ends in any way: a plug-in, a receiver or a library under it raises what is no `Exception`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import OperationalError, connection
from django.dispatch import Signal

from payments.models import PaymentCollection
from payments.testing import Script, configured_provider
from tests.outbox.listeners import receiving


class Poison(BaseException):
    """Stand for what gevent and asyncio raise to end what hangs."""


ENDS: tuple[type[BaseException], ...] = (Poison, SystemExit)
"""What a step may end in; a worker may raise it too, once all other rows are worked off."""


@dataclass(kw_only=True)
class PoisonousScript(Script):
    """Do what a script does, but end in `error` where a request of a verb is about one of some rows."""

    verb: str = ""
    about: set[str] = field(default_factory=set)
    error: type[BaseException] = Poison
    swallowed: int = 0
    """How often the poison was taken."""

    def answer(self, verb: Any, request: Any, default: Any) -> Any:
        """Answer, or end."""
        names = {getattr(request, name, None) for name in ("session_id", "account_holder_id")}
        if verb == self.verb and names & self.about:
            self.swallowed += 1
            raise self.error
        return super().answer(verb, request, default)

    def heal(self) -> None:
        """Have no poison any more."""
        self.about.clear()


@contextmanager
def poisonous_provider() -> Iterator[PoisonousScript]:
    """Configure a scripted provider that a test can poison."""
    script = PoisonousScript()
    entry = {"BACKEND": "payments.testing.scripted.ScriptedProvider", "OPTIONS": {"script": script}}
    with configured_provider("scripted", entry):
        yield script


@contextmanager
def poisonous_receiver(
    signal: Signal, error: type[BaseException], collections: set[str]
) -> Iterator[list[str]]:
    """Have a receiver end in an error where it is told of one of some collections; yield whom it was told of."""
    told: list[str] = []

    def receive(*, collection: PaymentCollection, **_rows: Any) -> None:
        told.append(collection.pk)
        if collection.pk in collections:
            raise error

    with receiving(signal, receive):
        yield told


@contextmanager
def unlockable(collection_id: str) -> Iterator[None]:
    """Have a collection be locked by somebody else for longer than this thread's connection waits."""

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        is_about_it = PaymentCollection._meta.db_table in sql and collection_id in (params or ())
        if is_about_it and connection.in_atomic_block:
            raise OperationalError("canceling statement due to lock timeout")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield


def start(job: Callable[[], Any]) -> None:
    """Run a job as a worker's supervisor does, who starts it again whatever it ended in."""
    with suppress(*ENDS):
        job()
