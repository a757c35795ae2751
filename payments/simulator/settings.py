"""How one simulator is set up."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Final

from payments.simulator.amounts import DeliveryPolicy

DEFAULT_API_KEY: Final = "sk_sim_test"
DEFAULT_WEBHOOK_SECRET: Final = "whsec_simulator"  # noqa: S105 (a pretend secret)
"""What the command line starts it with. Everybody can read these here, so a shop refuses them outside of DEBUG."""


def new_api_key() -> str:
    """Return a key that nobody knows."""
    return f"sk_sim_{token_urlsafe()}"


def new_webhook_secrets() -> tuple[str, ...]:
    """Return a secret that nobody knows."""
    return (f"whsec_{token_urlsafe()}",)


@dataclass(kw_only=True)
class Settings:
    """The switches of a running simulator; tests may change them while it runs.

    Arguments: `async_delay` in seconds until something pending settles by itself (None: only by a control
    call) · `key_window` in seconds an idempotency key is kept · `authorization_lifetime` in seconds ·
    `webhook_secrets`, each of which signs (several during a rotation) · `webhook_retries`, the pauses in
    seconds after each failed delivery · `magic_amounts`, whether amounts call up misbehaviours ·
    `allowed_hosts`, names under which it is asked besides its own.
    """

    api_key: str = field(default_factory=new_api_key)
    base_url: str = ""
    merchant: str = "Your shop"
    async_delay: float | None = 2.0
    key_window: float = 24 * 3600.0
    authorization_lifetime: float = 7 * 24 * 3600.0
    magic_amounts: bool = True
    allowed_hosts: tuple[str, ...] = ()
    webhook_url: str | None = None
    webhook_secrets: tuple[str, ...] = field(default_factory=new_webhook_secrets)
    webhook_timeout: float = 10.0
    webhook_retries: tuple[float, ...] = (1.0, 5.0, 30.0, 120.0, 600.0)
    delivery: DeliveryPolicy = field(default_factory=DeliveryPolicy)
