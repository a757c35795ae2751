"""The interface that every payment provider implements.

A provider gets a frozen request and returns a frozen result: it sees no model, form or `HttpRequest`, saves nothing and
sends no signal.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import urlsplit

from django.core.checks import CheckMessage
from django.utils.functional import Promise

from payments.exceptions import NotSupportedError
from payments.money import smallest_amount
from payments.providers.requests import (
    AuthorizeRequest,
    CancelRequest,
    CaptureRequest,
    InitiateRequest,
    RefundRequest,
    RetrieveRequest,
    UpdateRequest,
    WebhookRequest,
)
from payments.providers.results import (
    AuthorizeResult,
    CancelResult,
    CaptureResult,
    InitiateResult,
    RefundResult,
    RetrieveResult,
    UpdateResult,
    WebhookResult,
)
from payments.states import MovementKind, OperationKind


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """The options of a provider that takes none."""


OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True, kw_only=True)
class EndpointReport:
    """What is wrong with an address that a third party sends its events to.

    `missing` are the events that aren't sent there, `problems` what else keeps them from being believed or sent, and
    `notes` what is only good to know.
    """

    url: str
    missing: Sequence[str] = ()
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def is_good(self) -> bool:
        """Whether everything that is needed arrives."""
        return not (self.missing or self.problems)


class BaseProvider(abc.ABC, Generic[OptionsT]):
    """A provider: it talks to one third party on behalf of the services.

    A verb may raise DeclinedError for a refusal and ProviderUnavailableError where nothing was sent; any other
    exception counts as “outcome unknown”, never as a failure.

    `public_data_keys` names all of `data` that the storefront may ever read, each a plain value: "token" stands in
    `data` itself, "next.url" in an object in it, "methods[].id" in each object of a list. `input_keys` are the only
    keys that it may send. Within `idempotency_window` after a key was first used, sending it again can't move money
    twice; None means for ever. `is_for_payers` says whether they may choose the provider, unless its `STOREFRONT`
    setting says otherwise.
    """

    options_class: ClassVar[type[Any]] = NoOptions
    verbose_name: ClassVar[str | Promise] = ""

    public_data_keys: ClassVar[frozenset[str]] = frozenset()
    input_keys: ClassVar[frozenset[str]] = frozenset()
    idempotency_window: ClassVar[timedelta | None] = timedelta(hours=24)

    is_for_payers: ClassVar[bool] = True

    supports_update: ClassVar[bool] = True
    supports_partial_capture: ClassVar[bool] = True
    supports_multiple_captures: ClassVar[bool] = True
    supports_refund: ClassVar[bool] = True
    supports_partial_refund: ClassVar[bool] = True
    supports_retrieve: ClassVar[bool] = True
    supports_webhooks: ClassVar[bool] = False

    def __init__(self, *, alias: str, options: OptionsT) -> None:
        self.alias = alias
        self.options = options

    def key_window(self, kind: OperationKind) -> timedelta | None:
        """Return how long the key of such an operation protects, where a provider keeps some longer than others."""
        return self.idempotency_window

    def amount_step(self, currency_code: str) -> Decimal:
        """Return the amount (major units) of whose multiples a payment can be: the currency's smallest, for most.

        Installments are divided into such amounts, and others are refused before the provider is asked. It may raise
        DeclinedError for a currency that it doesn't take.
        """
        return smallest_amount(currency_code)

    @property
    @abc.abstractmethod
    def moves_real_money(self) -> bool:
        """Whether a payer really pays: False for a simulation, a test key or a sandbox.

        `moves_real_money = True` in the class says it for all its providers. Outside of DEBUG one that says False
        fails the checks unless `PAYMENTS["ALLOW_PRETEND_MONEY"]` is True, and is refused unless that or
        `is_meant_to_pretend`.
        """

    @property
    def is_meant_to_pretend(self) -> bool:
        """Whether the provider's own options say that pretend money is meant, as `livemode: False` does."""
        return False

    @abc.abstractmethod
    def initiate(self, request: InitiateRequest) -> InitiateResult:
        """Open a session at the provider."""

    @abc.abstractmethod
    def update(self, request: UpdateRequest) -> UpdateResult:
        """Change the amount of an unauthorized session."""

    @abc.abstractmethod
    def authorize(self, request: AuthorizeRequest) -> AuthorizeResult:
        """Hold the amount, or say what the payer has to do first."""

    @abc.abstractmethod
    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Take an amount out of what is held."""

    @abc.abstractmethod
    def refund(self, request: RefundRequest) -> RefundResult:
        """Give back an amount out of what was taken."""

    @abc.abstractmethod
    def cancel(self, request: CancelRequest) -> CancelResult:
        """Abandon an unauthorized session, or release what is still held."""

    def retrieve(self, request: RetrieveRequest) -> RetrieveResult:
        """Report what the provider knows of a session."""
        raise NotSupportedError(f"{type(self).__name__} can't be asked about a session.")

    def parse_webhook(self, request: WebhookRequest) -> WebhookResult:
        """Verify an event and translate it.

        Raise WebhookVerificationError where it can't be proven, and ProviderUnavailableError where only the provider
        could prove it and can't be reached: it is then asked to send the event again.
        """
        raise NotSupportedError(f"{type(self).__name__} sends no webhooks.")

    def dashboard_url(self, provider_reference: str) -> str:
        """Return where a person finds a session or payment in the provider's own dashboard, or nothing."""
        return ""

    def movement_url(self, kind: MovementKind, provider_reference: str) -> str:
        """Return where a person finds a capture or refund in the provider's own dashboard, or nothing."""
        return ""

    def check(self) -> Sequence[CheckMessage]:
        """Return what is wrong with the options, in words that say what to type."""
        return []


def leads_to(url: str, path: str) -> bool:
    """Return whether a URL has this path, with a slash at its end or without."""
    return urlsplit(url).path.rstrip("/") == path.rstrip("/")
