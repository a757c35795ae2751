"""What the Stripe provider is configured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, Literal
from urllib.parse import urlsplit

RELEASE: Final = "endive"
API_VERSION: Final = f"2026-10-28.{RELEASE}"
"""The version of Stripe's API that answers are read in, whatever the account's default or the library's own is."""

LONGEST_CALL: Final = 110.0
"""How long one call may take with all its repetitions, in seconds: after two minutes it counts as abandoned."""

MAX_RETRIES: Final = 3

_SECRET_PREFIXES: Final = ("sk_", "rk_")
_LIVE: Final = "_live_"
_TEST: Final = "_test_"


@dataclass(frozen=True, kw_only=True)
class StripeOptions:
    """Whose account it is, how it takes money, and how to talk to Stripe.

    `api_key` is a secret or restricted key; `publishable_key` goes to browsers. `livemode` says whether real money is
    meant; None goes by the key.
    `webhook_secrets` are those of the endpoint, several while one is being rolled; `webhook_tolerance`, in seconds, is
    how far a signature's time may be from now.

    `capture_method` is `manual` (hold first, capture later) or `automatic` (take at once). `payment_method_types` are
    Stripe's names; without any, Stripe offers what its dashboard is set to. `multicapture` asks for several captures of
    one card payment, which Stripe allows to some accounts. `statement_descriptor` (not for cards) and
    `statement_descriptor_suffix` are what the payer reads on the statement. `setup_future_usage` saves the payment
    method of a known customer, `on_session` or `off_session`.

    `api_version` may be another one of the same release. `timeout` is in seconds, for connecting and for each wait for
    an answer; a call that may not have arrived is repeated up to `max_network_retries` times under its own key.
    Raises ValueError for keys of the wrong kind or mode, blank secrets, and values that Stripe doesn't know.
    """

    api_key: str = field(repr=False)
    publishable_key: str = ""
    webhook_secrets: Sequence[str] = field(default=(), repr=False)
    livemode: bool | None = None
    capture_method: Literal["manual", "automatic"] = "manual"
    payment_method_types: Sequence[str] = ()
    multicapture: bool = False
    statement_descriptor: str = ""
    statement_descriptor_suffix: str = ""
    setup_future_usage: Literal["", "on_session", "off_session"] = ""
    api_version: str = API_VERSION
    api_base: str = "https://api.stripe.com"
    timeout: float = 30.0
    max_network_retries: int = 1
    webhook_tolerance: float = 300.0

    def __post_init__(self) -> None:
        self._check_keys()
        self._check_lists()
        self._check_choices()
        self._check_connection()

    @property
    def is_live(self) -> bool:
        """Whether real money is meant."""
        return _LIVE in self.api_key if self.livemode is None else self.livemode

    def _check_keys(self) -> None:
        if not (self.api_key.isascii() and self.api_key.isprintable() and self.api_key.strip()):
            raise ValueError("api_key must be plain characters: it goes into a header")
        if not self.api_key.startswith(_SECRET_PREFIXES):
            raise ValueError('api_key must be a secret or restricted key: "sk_..." or "rk_..."')
        if self.publishable_key and not self.publishable_key.startswith("pk_"):
            raise ValueError('publishable_key must start with "pk_": it is sent to browsers')
        for name in ("api_key", "publishable_key"):
            key: str = getattr(self, name)
            if (_TEST if self.is_live else _LIVE) in key:
                meant = "real money (live mode)" if self.is_live else "pretend money (test mode)"
                raise ValueError(
                    f"{name} is a key of the other mode; {meant} is meant: livemode={self.livemode}"
                )

    def _check_lists(self) -> None:
        for name, example in (("webhook_secrets", "whsec_..."), ("payment_method_types", "card")):
            value: Sequence[str] = getattr(self, name)
            if isinstance(value, str):
                raise ValueError(f'{name} must be a list: "{name}": ["{example}"]')
            if any(not each.strip() for each in value):
                raise ValueError(f"{name} must not have blank entries")

    def _check_choices(self) -> None:
        if self.capture_method not in ("manual", "automatic"):
            raise ValueError('capture_method must be "manual" or "automatic"')
        if self.setup_future_usage not in ("", "on_session", "off_session"):
            raise ValueError('setup_future_usage must be "on_session", "off_session" or ""')
        if not self.api_version.endswith(f".{RELEASE}"):
            raise ValueError(
                f'api_version must be of the release that this provider speaks, such as "{API_VERSION}"'
            )
        if self.multicapture and self.capture_method != "manual":
            raise ValueError('multicapture needs "capture_method": "manual"')

    def _check_connection(self) -> None:
        parts = urlsplit(self.api_base)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise ValueError('api_base must be an address without a path, such as "https://api.stripe.com"')
        if parts.scheme == "http" and self.is_live:
            raise ValueError("api_base must be https where real money is meant")
        if not (0 < self.timeout < inf and 0 < self.webhook_tolerance < inf):
            raise ValueError("timeout and webhook_tolerance must be positive numbers of seconds")
        if self.max_network_retries not in range(MAX_RETRIES + 1):
            raise ValueError(f"max_network_retries must be between 0 and {MAX_RETRIES}")
        if self.timeout * (self.max_network_retries + 1) > LONGEST_CALL:
            raise ValueError(
                f"timeout * (max_network_retries + 1) must be at most {LONGEST_CALL:.0f} seconds, "
                "or a call could outlast the time after which it counts as abandoned"
            )
