"""Workers in threads of their own that the bank keeps waiting, and rows as they are stored meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.models import Model

from tests.reliability.banks import Act
from tests.threads import PATIENCE, wait_for


class Pause:
    """Have the bank keep somebody waiting: `is_there` once they are, until `go_on`."""

    def __init__(self) -> None:
        self._there, self._go_on = threading.Event(), threading.Event()

    def __call__(self, act: Act) -> Any:
        """Answer as the bank does, when it is time."""
        self._wait()
        return act()

    def in_vain(self, act: Act) -> Any:
        """Give no answer, when it is time."""
        self._wait()
        raise TimeoutError

    def is_there(self) -> None:
        """Wait until somebody is kept waiting."""
        assert self._there.wait(PATIENCE)

    def go_on(self) -> None:
        """Let them go on."""
        self._go_on.set()

    def _wait(self) -> None:
        self._there.set()
        assert self._go_on.wait(PATIENCE)


@contextmanager
def working(work: Callable[[], object], *pauses: Pause) -> Iterator[threading.Thread]:
    """Have a worker work in a thread of its own inside the block; at its end nobody is kept waiting any more."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the test's own thread
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        for pause in pauses:
            pause.go_on()
        wait_for([thread])
    for error in errors:
        raise error


def row_of(row: Model) -> dict[str, Any]:
    """Return all that is stored of a row."""
    values: dict[str, Any] = type(row)._default_manager.filter(pk=row.pk).values().get()
    return values
