"""A fake as a running service: it finds out what is asked for, and misbehaves where that is planned.

Nothing is decided about money here, nor about what a payment service's answers look like.
"""

from __future__ import annotations

import abc
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from tests.fakes.server import Answer, Received, Server


class Fault(StrEnum):
    """A way to misbehave; those that end in “after” do what was asked first."""

    TOO_MANY = "429"
    CONFLICT = "409"
    ERROR_BEFORE = "500 before"
    ERROR_AFTER = "500 after"
    SILENCE_BEFORE = "silence before"
    SILENCE_AFTER = "silence after"
    GARBAGE_BEFORE = "garbage before"
    GARBAGE_AFTER = "garbage after"
    CUT_OFF_AFTER = "cut off after"

    @property
    def acts(self) -> bool:
        """Whether what was asked is done all the same."""
        return self.value.endswith("after")


USELESS: Final = tuple(fault for fault in Fault if fault != Fault.TOO_MANY)
"""After these nobody knows whether what was asked is done."""


@dataclass(kw_only=True)
class Plan:
    """Which requests misbehave, and how often, after how many that don't."""

    operation: str
    fault: Fault
    times: int
    after: int = 0


Handler = Callable[..., Any]


@dataclass(frozen=True)
class Route:
    """A method and a path with what handles them: one line of a fake's table.

    `path` is a regular expression whose groups the handler gets, `known` says which parameters may be sent, `status` is
    that of a success.
    """

    operation: str
    method: str
    path: str
    known: Any
    handler: Handler
    status: int = 200


class _Request(Protocol):
    """A request as a payment service reads it."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...


RequestT = TypeVar("RequestT", bound=_Request)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What was answered under an idempotency key."""

    fingerprint: str
    answer: Answer


class Service(abc.ABC, Generic[RequestT]):
    """A payment service for a test, at `url`, until the block ends.

    `requests` is what it was asked, `executed` which operations it has carried out.
    """

    def __init__(self, read: Callable[[Received], RequestT], routes: Sequence[Route]) -> None:
        self.requests: list[RequestT] = []
        self.executed: list[str] = []
        self._plans: list[Plan] = []
        self._stored: dict[str, Stored] = {}
        self._lock = threading.RLock()
        self._routes = routes
        self._server = Server(lambda received: self.answer(read(received)))

    @property
    def url(self) -> str:
        """Where it is."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.stop()

    def misbehave(self, operation: str, fault: Fault, *, times: int = 1, after: int = 0) -> None:
        """Have the next requests for an operation go wrong, after some that don't."""
        self._plans.append(Plan(operation=operation, fault=fault, times=times, after=after))

    def behave(self) -> None:
        """Have nothing go wrong any more."""
        self._plans.clear()

    def answer(self, request: RequestT) -> Answer:
        """Answer one request."""
        with self._lock:
            self.requests.append(request)
            route, values = self._route(request)
            plan = self._plan(route.operation if route else "")
            if plan is None:
                return self._answer(request, route, values)
            return self._misbehave(plan.fault, request, route, values)

    @abc.abstractmethod
    def _answer(self, request: RequestT, route: Route | None, values: tuple[str, ...]) -> Answer:
        """Answer as the service does; `values` are what the request's path names."""

    @abc.abstractmethod
    def _broken(self, fault: Fault, request: RequestT) -> Answer:
        """Answer with an error, or with the beginning of an answer."""

    def _misbehave(
        self, fault: Fault, request: RequestT, route: Route | None, values: tuple[str, ...]
    ) -> Answer:
        if fault.acts:
            self._answer(request, route, values)
        if fault in (Fault.SILENCE_BEFORE, Fault.SILENCE_AFTER):
            return Answer(status=0, body={})
        if fault in (Fault.GARBAGE_BEFORE, Fault.GARBAGE_AFTER):
            return Answer(status=200, body={}, raw=b"\xff\xfe{not json")
        return self._broken(fault, request)

    def _plan(self, operation: str) -> Plan | None:
        for plan in self._plans:
            if plan.operation != operation or not plan.times:
                continue
            if plan.after:
                plan.after -= 1
                return None
            plan.times -= 1
            return plan
        return None

    def _route(self, request: RequestT) -> tuple[Route | None, tuple[str, ...]]:
        for route in self._routes:
            match = re.fullmatch(route.path, request.path)
            if match and route.method == request.method:
                return route, match.groups()
        return None, ()
