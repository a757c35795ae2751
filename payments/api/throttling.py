"""How much one client may do: requests, and cards that are declined or saved, counted in a cache by user and address.

Clients are in no row, and an address needn't be kept longer than a limit lasts; what is tried on one order is counted
from rows, in `payments.services.ledger.payers`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NoReturn

from django.core.cache import caches
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from payments.conf import Rate, proxy_count, storefront_throttle_classes, throttle_cache, throttle_rate
from payments.exceptions import LimitError
from payments.services.idempotency import Claims, recorded
from payments.states import OperationKind, OperationStatus

logger = logging.getLogger("payments.api")

_FORWARDED: Final = "HTTP_X_FORWARDED_FOR"

_WITH_PORT: Final = re.compile(r"\[(?P<bracketed>[^\]]*)\](:[0-9]+)?|(?P<plain>[0-9.]+):[0-9]+")

_IPV6_NETWORK: Final = 64
"""The bits of an IPv6 address that tell one household from another; the rest is the household's to choose."""


@dataclass(frozen=True, kw_only=True)
class Counter:
    """What one client has done of one kind: in this window of time, and in the one before as far as it still counts.

    Of the window before counts the share that is less than a period ago, as if all had been spread over it: otherwise
    there would be twice as much to be had around the end of a window. What is refused doesn't count.
    """

    name: str
    client: str
    rate: Rate
    moment: float = field(default_factory=lambda: timezone.now().timestamp())

    def take(self) -> float:
        """Count one more and return 0; or return the seconds until there is room, and count nothing."""
        wait: float = _ask_cache(self._take)
        return wait

    def give_back(self) -> None:
        """Have what was taken not count."""
        _ask_cache(lambda: self._cache.decr(self._key(self._window)))

    def is_first_refusal(self) -> bool:
        """Return whether nothing was refused in this window before."""
        key = f"{self._key(self._window)}:refused"
        return bool(_ask_cache(lambda: self._cache.add(key, 1, timeout=math.ceil(self._seconds))))

    def _take(self) -> float:
        # It holds however many requests come at once, since the cache counts in one step: `payments.checks` refuses
        # one that doesn't.
        elapsed, key = self.moment % self._seconds / self._seconds, self._key(self._window)
        before = self._cache.get(self._key(self._window - 1)) or 0
        self._cache.add(key, 0, timeout=math.ceil(2 * self._seconds))
        left: int = self.rate.count - self._cache.incr(key)
        if left >= max(0, math.ceil(before * (1 - elapsed)) - 1):
            return 0
        self._cache.decr(key)
        room_at = 1 if left < 0 else 1 - (left + 1) / before
        return max(1.0, self._seconds * (room_at - elapsed))

    def _key(self, window: int) -> str:
        return f"payments:{self.name}:{hashlib.sha256(self.client.encode()).hexdigest()}:{window}"

    @property
    def _window(self) -> int:
        return int(self.moment // self._seconds)

    @property
    def _seconds(self) -> float:
        return self.rate.period.total_seconds()

    @property
    def _cache(self) -> Any:
        return caches[throttle_cache()]


class ClientThrottle(BaseThrottle):
    """A limit on the requests of each client in each period that change something, or call a provider."""

    _wait = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count a request; return whether it is still within the rate."""
        rate = throttle_rate("REQUESTS_PER_CLIENT")
        if rate is None or not _is_counted(request, view):
            return True
        self._wait = Counter(name="requests", client=client_of(request), rate=rate).take()
        if self._wait:
            _warn_of_proxies(request)
        return not self._wait

    def wait(self) -> float:
        """Return the seconds until there is room for a request."""
        return self._wait


def give_back(taken: Sequence[Counter]) -> None:
    """Have what was taken not count."""
    for counter in taken:
        counter.give_back()


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What may be done so often by one user, and so often from one address: a new account is no new start."""

    rate: str
    code: str
    message: Any
    found: str
    """What the log says of the first client that is refused, behind how often."""

    def take(self, request: Request) -> Sequence[Counter]:
        """Count one more, and return where; raise LimitError, and count nothing, where there is no room."""
        rate, taken = throttle_rate(self.rate), list[Counter]()
        if rate is None:
            return taken
        for client in _users_and_addresses(request):
            counter = Counter(name=self.rate, client=client, rate=rate)
            wait = counter.take()
            if wait:
                give_back(taken)
                self._refuse(request, counter, wait)
            taken.append(counter)
        return taken

    def _refuse(self, request: Request, counter: Counter, wait: float) -> NoReturn:
        if counter.is_first_refusal():
            logger.warning(
                "Cards may be tested: %s had %s %s, and is refused more for now.",
                counter.client,
                counter.rate.count,
                self.found,
            )
        _warn_of_proxies(request)
        raise LimitError(self.message, code=self.code, retry_after=math.ceil(wait))


DECLINES: Final = Limit(
    rate="DECLINES_PER_CLIENT",
    code="too_many_declines",
    message=_("Too many payments were declined. Wait a while, or ask the shop."),
    found="authorizations declined or undecided",
)
SETUPS: Final = Limit(
    rate="METHOD_SETUPS_PER_CLIENT",
    code="too_many_setups",
    message=_("Too many payment methods were to be saved. Wait a while, or ask the shop."),
    found="payment methods to save",
)

TRYING: Final = (OperationKind.AUTHORIZE, OperationKind.INITIATE, OperationKind.UPDATE)
"""What a provider may refuse because of the card that a payer has sent along."""


@contextmanager
def limiting_declines(request: Request, claims: Claims) -> Iterator[None]:
    """Count what a payer has a card tried with in the block; `claims` gets the operations that are claimed for it.

    It is counted before, and given back where nothing can have been declined: otherwise many at once could each be the
    last. What came of it is read off those operations: the session may have been changed by another request since.
    Raises LimitError where a client has had too many declined.
    """
    taken, since = DECLINES.take(request), timezone.now()
    try:
        yield
    finally:
        if taken and not _may_be_declined(claims, since=since):
            give_back(taken)


def _may_be_declined(claims: Claims, *, since: datetime) -> bool:
    """Return whether a card that was tried since then, by one of these operations, was declined or may be yet.

    An open one stays counted, even if it succeeds later: the refusals of cards that are answered behind the request
    would otherwise cost nothing. What asks the payer for more has succeeded in that, so that a bank's question is free;
    an older one is only waited for, and was counted when it was begun.
    """
    return any(
        row.kind in TRYING
        and row.created_at >= since
        and row.status not in (OperationStatus.SUCCEEDED, OperationStatus.NOT_SENT)
        for row in recorded(claims)
    )


def _is_counted(request: Request, view: Any) -> bool:
    """Return whether a request changes something, or its view says that it calls a provider; HEAD is a GET."""
    method = "GET" if request.method == "HEAD" else request.method
    return method not in SAFE_METHODS or method in getattr(view, "calling_methods", ())


def _warn_of_proxies(request: Request) -> None:
    if proxy_count() is None and _FORWARDED in request.META:
        logger.warning(
            "A request was one too many, and came through a proxy: all payers behind it count as one client. "
            'Type how many of your own proxies a request comes through: PAYMENTS = {"PROXIES": 1, ...}'
        )


def client_of(request: Request) -> str:
    """Return what tells one client from another: the user, or else the network address."""
    return _users_and_addresses(request)[0]


def _users_and_addresses(request: Request) -> Sequence[str]:
    """Return who a client is: the user, if they are logged in, and the network address."""
    user: Any = request.user  # None, where the project's UNAUTHENTICATED_USER is None
    users = [f"user:{user.pk}"] if user is not None and user.is_authenticated else []
    return [*users, f"address:{_ipv6_prefix(_address(request))}"]


def storefront_throttles() -> list[BaseThrottle]:
    """Build the throttles that the settings name."""
    return [import_string(path)() for path in storefront_throttle_classes()]


def _address(request: Request) -> str:
    """Return the address of a client behind so many proxies, each of which has added what it saw.

    Anybody may add more to the left of that, and where nobody has said how many proxies there are, nothing is believed.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = str(request.META.get(_FORWARDED, ""))
    proxies = proxy_count()
    if not forwarded or not proxies:
        return peer
    hops = [hop.strip() for hop in forwarded.split(",")]
    return hops[-min(proxies, len(hops))]


def _ipv6_prefix(address: str) -> str:
    """Return the household that an address is of, without the port that some proxies add.

    All that is no address is of one: anything else in it would tell each connection from the next.
    """
    with_port = _WITH_PORT.fullmatch(address)
    bare = address if with_port is None else with_port["bracketed"] or with_port["plain"]
    try:
        parsed = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))


def _ask_cache(call: Callable[[], Any]) -> Any:
    """Return what the cache answers, or 0; a cache that is away stops nobody from paying."""
    try:
        return call()
    except ValueError:
        return 0  # It has just expired, or nothing is cached at all.
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        logger.warning("Clients can't be counted: the cache raised %s.", type(error).__qualname__)
        return 0
