"""What the simulator's provider is configured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """Say where the simulator is and how to talk to it.

    `timeout` is in seconds; `webhook_secrets` are those that its events may be signed with, several while one is being
    replaced; `webhook_tolerance`, in seconds, is how far a signature's time may be from now.
    Raises ValueError for an address that is none, a blank secret or key, and times that are not positive.
    """

    base_url: str = "http://127.0.0.1:8001"
    api_key: str = field(default="sk_sim_test", repr=False)
    webhook_secrets: Sequence[str] = field(default=(), repr=False)
    timeout: float = 10.0
    webhook_tolerance: float = 300.0

    def __post_init__(self) -> None:
        if isinstance(self.webhook_secrets, str):
            raise ValueError('webhook_secrets must be a list: "webhook_secrets": ["whsec_..."]')
        if not _is_address(self.base_url):
            raise ValueError('base_url must be an address such as "http://127.0.0.1:8001"')
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ValueError("api_key must be plain characters: it goes into a header")
        if not self.api_key.strip() or not all(secret.strip() for secret in self.webhook_secrets):
            raise ValueError("api_key and webhook_secrets must not be blank")
        if not (0 < self.timeout < inf and 0 < self.webhook_tolerance < inf):
            raise ValueError("timeout and webhook_tolerance must be positive numbers of seconds")


def _is_address(url: str) -> bool:
    """Return whether a URL names a host and perhaps a path, and nothing that would be left out of a request."""
    parts = urlsplit(url)  # and a port that is none raises ValueError
    is_whole = not (parts.query or parts.fragment or parts.username or parts.password)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and is_whole
