"""What the simulator's provider is configured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
        if urlsplit(self.base_url).scheme not in ("http", "https") or not urlsplit(self.base_url).netloc:
            raise ValueError('base_url must be an address such as "http://127.0.0.1:8001"')
        if not self.api_key.strip() or not all(secret.strip() for secret in self.webhook_secrets):
            raise ValueError("api_key and webhook_secrets must not be blank")
        if self.timeout <= 0 or self.webhook_tolerance <= 0:
            raise ValueError("timeout and webhook_tolerance must be positive")
