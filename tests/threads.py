"""Doing things at the same time, each in a thread with a database connection of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, connections

PATIENCE = 120.0
"""How long a thread may take, in seconds, before a test gives up on it."""

SLOWNESS: Final = 1 if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) == 1 else 2
"""How many times as slow code may be as by itself: where tests run side by side, two threads share a core."""

Work = Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Hold what each of several threads returned or raised, in the order in which they were given."""

    results: list[Any]

    @property
    def values(self) -> list[Any]:
        """What was returned."""
        return [result for result in self.results if not isinstance(result, BaseException)]

    @property
    def errors(self) -> list[BaseException]:
        """What was raised."""
        return [result for result in self.results if isinstance(result, BaseException)]

    def raised(self, *kinds: type[BaseException]) -> list[BaseException]:
        """Return what was raised, after making sure that it is all of these kinds."""
        for error in self.errors:
            if not isinstance(error, kinds):
                raise error
        return self.errors


def together(*works: Work, prepare: Work | None = None) -> Outcomes:
    """Run functions in threads that all start at the same moment, and return what came of each.

    `prepare` runs in every thread before that, on the connection that the function will use.
    """
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(position: int, work: Work) -> None:
        try:
            connection.ensure_connection()
            if prepare is not None:
                prepare()
            barrier.wait(PATIENCE)
            results[position] = work()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            results[position] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    wait_for(threads)
    return Outcomes(results=results)


def times(number: int, work: Work, *, prepare: Work | None = None) -> Outcomes:
    """Run the same function in so many threads at the same moment."""
    return together(*[work] * number, prepare=prepare)


def aside(work: Work) -> Any:
    """Run a function in another thread, with a connection of its own, and return or raise what came of it."""
    outcomes = together(work)
    for error in outcomes.errors:
        raise error
    return outcomes.results[0]


def wait_for(threads: Sequence[threading.Thread]) -> None:
    """Wait for threads to end, and fail where one doesn't."""
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
