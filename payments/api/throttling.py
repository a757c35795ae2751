"""How much one client may change: a count of requests in the cache, per user or else per network address.

It slows down who tries many cards on many orders; what is tried on one order is counted in `payments.services.limits`.
A cache that all processes share (Redis, Memcached, the database) makes the count one; each process has its own else.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
from typing import Any, Final

from django.core.cache import cache
from django.utils import timezone
from django.utils.module_loading import import_string
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from payments.conf import proxy_count, storefront_throttle_classes, throttle_rate

logger = logging.getLogger("payments.api")

_FORWARDED: Final = "HTTP_X_FORWARDED_FOR"

_IPV6_NETWORK: Final = 64
"""The bits of an IPv6 address that tell one household from another; the rest is the household's to choose."""


class ClientThrottle(BaseThrottle):
    """Let each client make so many requests that change something in each window of time."""

    _wait = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count a request; return whether it is still within the rate."""
        rate = throttle_rate("REQUESTS_PER_CLIENT")
        if rate is None or request.method in SAFE_METHODS:
            return True
        seconds, now = rate.period.total_seconds(), timezone.now().timestamp()
        window = int(now // seconds)
        self._wait = (window + 1) * seconds - now
        key = f"payments:requests:{_digest(client_of(request))}:{window}"
        is_allowed = _count(key, math.ceil(seconds)) <= rate.count
        if not is_allowed and proxy_count() is None and _FORWARDED in request.META:
            logger.warning(
                "A request was one too many, and came through a proxy: all payers behind it count as one client. "
                'Type how many of your own proxies a request comes through: PAYMENTS = {"PROXIES": 1, ...}'
            )
        return is_allowed

    def wait(self) -> float:
        """Return the seconds until the window ends."""
        return self._wait


def client_of(request: Request) -> str:
    """Return what tells one client from another: the user, or else the network address."""
    user: Any = request.user  # None, where the project's UNAUTHENTICATED_USER is None
    if user is not None and user.is_authenticated:
        return f"user:{user.pk}"
    return f"address:{_household(_address(request))}"


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


def _household(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address) or parsed.ipv4_mapped:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))


def _count(key: str, seconds: int) -> int:
    """Return which request of its window this is; a cache that is away stops nobody from paying."""
    try:
        cache.add(key, 0, timeout=seconds)
        return cache.incr(key)
    except ValueError:
        return 1  # It has just expired, or nothing is cached at all.
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        logger.warning("Requests can't be counted: the cache raised %s.", type(error).__qualname__)
        return 1


def _digest(client: str) -> str:
    return hashlib.sha256(client.encode()).hexdigest()
