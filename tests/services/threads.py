"""Running verbs at the same time, each on a database connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from django.db import connection

TIMEOUT: Final = 60.0

Job = Callable[[], Any]


def at_once(jobs: Sequence[Job], *, prepare: Job | None = None) -> list[Any]:
    """Run jobs in threads that start together; return what each returned or raised, in the jobs' order.

    `prepare` runs in every thread before the start, on the connection that the job will use.
    """
    barrier = threading.Barrier(len(jobs))
    results: list[Any] = [None] * len(jobs)

    def run(position: int, job: Job) -> None:
        try:
            connection.ensure_connection()
            if prepare is not None:
                prepare()
            barrier.wait(TIMEOUT)
            results[position] = job()
        except Exception as error:  # noqa: BLE001 - the test looks at what it is
            results[position] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return results


def errors(results: Sequence[Any]) -> list[Exception]:
    """Return what was raised."""
    return [result for result in results if isinstance(result, Exception)]
