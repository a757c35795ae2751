"""Doing things at the same time, each in a thread with a database connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connections

PATIENCE = 60.0
"""How long a thread may take, in seconds, before a test gives up on it."""


@dataclass(kw_only=True)
class Outcomes:
    """Hold what each of several threads returned, or raised."""

    values: list[Any] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def raised(self, *kinds: type[BaseException]) -> list[BaseException]:
        """Return the errors of these kinds, after making sure that there are no others."""
        unexpected = [error for error in self.errors if not isinstance(error, kinds)]
        if unexpected:
            raise unexpected[0]
        return self.errors


def together(*works: Callable[[], Any]) -> Outcomes:
    """Run functions in threads that all start at the same moment, and return what came of each."""
    outcomes, barrier = Outcomes(), threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> None:
        try:
            barrier.wait(PATIENCE)
            outcomes.values.append(work())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            outcomes.errors.append(error)
        finally:
            connections.close_all()

    wait_for([_started(lambda work=work: run(work)) for work in works])  # type: ignore[misc]
    return outcomes


def times(number: int, work: Callable[[], Any]) -> Outcomes:
    """Run the same function in so many threads at the same moment."""
    return together(*[work] * number)


def aside(work: Callable[[], Any]) -> Any:
    """Run a function in another thread, with a connection of its own, and return or raise what came of it."""
    outcomes = together(work)
    if outcomes.errors:
        raise outcomes.errors[0]
    return outcomes.values[0]


def wait_for(threads: Sequence[threading.Thread]) -> None:
    """Wait for threads to end, and fail where one doesn't."""
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"


def _started(run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
