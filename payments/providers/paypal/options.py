"""What the PayPal provider is configured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, Literal
from urllib.parse import urlsplit

LIVE_URL: Final = "https://api-m.paypal.com"
SANDBOX_URL: Final = "https://api-m.sandbox.paypal.com"

LIVE_HOSTS: Final = frozenset({"api-m.paypal.com", "api.paypal.com"})
SANDBOX_HOSTS: Final = frozenset({"api-m.sandbox.paypal.com", "api.sandbox.paypal.com"})

LONGEST_TIMEOUT: Final = 20.0
"""How long one request may take, in seconds: a verb makes up to five, and after two minutes it counts as abandoned."""

LONGEST_DESCRIPTOR: Final = 22
LONGEST_NAME: Final = 127

_SHIPPING: Final = ("GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS")
_METHODS: Final = ("UNRESTRICTED", "IMMEDIATE_PAYMENT_REQUIRED")


@dataclass(frozen=True, kw_only=True)
class PayPalOptions:
    """Whose account it is, how it takes money, and how to talk to PayPal.

    `client_id`, which goes to browsers, and `client_secret` are those of a REST app. `livemode` says whether real money
    is meant; with False it is PayPal's sandbox. `webhook_ids` are those that PayPal gave the shop's webhooks, several
    while one is being replaced; `webhook_tolerance`, in seconds, is how old a delivery may be.

    `intent` is `authorize` (hold first, capture later) or `capture` (take at once). `multicapture` leaves what a
    capture doesn't take held for further ones, which PayPal has to have enabled for the account.
    `authorize_on_approval` asks for the money of a payer who has approved and doesn't come back. `brand_name` is what
    payers read on PayPal's pages, `soft_descriptor` on their statements. `shipping_preference` says where the address
    comes from, `payment_method_preference` whether slow methods such as eChecks are taken, both in PayPal's words.

    `base_url` is another address of the API, for tests. `timeout` is in seconds, for connecting and for each wait.
    Raises ValueError for blank keys and secrets, an address of the other mode, and values that PayPal doesn't know.
    """

    client_id: str
    client_secret: str = field(repr=False)
    livemode: bool = True
    webhook_ids: Sequence[str] = ()
    intent: Literal["authorize", "capture"] = "authorize"
    multicapture: bool = False
    authorize_on_approval: bool = True
    brand_name: str = ""
    soft_descriptor: str = ""
    shipping_preference: Literal["GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS"] = "NO_SHIPPING"
    payment_method_preference: Literal["UNRESTRICTED", "IMMEDIATE_PAYMENT_REQUIRED"] = "UNRESTRICTED"
    base_url: str = ""
    timeout: float = 15.0
    webhook_tolerance: float = 4 * 24 * 60 * 60.0

    def __post_init__(self) -> None:
        self._check_keys()
        self._check_webhook_ids()
        self._check_choices()
        self._check_connection()

    @property
    def url(self) -> str:
        """Where the API is."""
        return self.base_url.rstrip("/") or (LIVE_URL if self.livemode else SANDBOX_URL)

    @property
    def is_elsewhere(self) -> bool:
        """Whether the API is at none of PayPal's own addresses, as in tests."""
        return urlsplit(self.url).hostname not in LIVE_HOSTS | SANDBOX_HOSTS

    def _check_keys(self) -> None:
        for name in ("client_id", "client_secret"):
            key: str = getattr(self, name)
            if not (key.isascii() and key.isprintable() and key.strip()) or ":" in key:
                raise ValueError(f"{name} must be plain characters: it goes into a header")

    def _check_webhook_ids(self) -> None:
        if isinstance(self.webhook_ids, str):
            raise ValueError('webhook_ids must be a list: "webhook_ids": ["8PT597110X687430LKGECATA"]')
        if not all(each.isascii() and each.isalnum() for each in self.webhook_ids):
            raise ValueError(
                "webhook_ids must be the ids that PayPal shows next to its webhooks, not their addresses"
            )

    def _check_choices(self) -> None:
        if self.intent not in ("authorize", "capture"):
            raise ValueError('intent must be "authorize" or "capture"')
        if self.multicapture and self.intent != "authorize":
            raise ValueError('multicapture needs "intent": "authorize"')
        if self.shipping_preference not in _SHIPPING:
            raise ValueError(f"shipping_preference must be one of {', '.join(_SHIPPING)}")
        if self.payment_method_preference not in _METHODS:
            raise ValueError(f"payment_method_preference must be one of {', '.join(_METHODS)}")
        if len(self.soft_descriptor) > LONGEST_DESCRIPTOR:
            raise ValueError(f"soft_descriptor must have at most {LONGEST_DESCRIPTOR} characters")
        if len(self.brand_name) > LONGEST_NAME:
            raise ValueError(f"brand_name must have at most {LONGEST_NAME} characters")

    def _check_connection(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise ValueError(f'base_url must be an address without a path, such as "{SANDBOX_URL}"')
        if parts.hostname in (SANDBOX_HOSTS if self.livemode else LIVE_HOSTS):
            meant = "real money" if self.livemode else "pretend money"
            raise ValueError(f"base_url is of the other mode; {meant} is meant: livemode={self.livemode}")
        if parts.scheme == "http" and (self.livemode or not self.is_elsewhere):
            raise ValueError("base_url must be https")
        if not (0 < self.timeout <= LONGEST_TIMEOUT):
            raise ValueError(
                f"timeout must be a positive number of seconds, at most {LONGEST_TIMEOUT:.0f}, or a call could outlast "
                "the time after which it counts as abandoned"
            )
        if not (0 < self.webhook_tolerance < inf):
            raise ValueError("webhook_tolerance must be a positive number of seconds")
