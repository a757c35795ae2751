"""What a provider answers, one frozen dataclass per verb: first how certain it is (`outcome`), then what it tells.

A result decides nothing: the services compare it with what was asked before they believe it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from payments.providers.facts import Failure, NextAction, SessionFact
from payments.states import Outcome


@dataclass(frozen=True, kw_only=True)
class ProviderResult:
    """What every answer has; `provider_log` is a redacted account of it for the operator's timeline."""

    outcome: Outcome
    failure: Failure | None = None
    provider_reference: str | None = None
    provider_log: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class SessionResult(ProviderResult):
    """An answer that may renew a session's two data halves; None leaves a half as it is."""

    data: Mapping[str, Any] | None = field(default=None, repr=False)
    provider_data: Mapping[str, Any] | None = field(default=None, repr=False)
    next_action: NextAction | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class InitiateResult(SessionResult):
    """The answer to an InitiateRequest; `data` is what the storefront may read from now on."""


@dataclass(frozen=True, kw_only=True)
class UpdateResult(SessionResult):
    """The answer to an UpdateRequest, with the amount and currency that the provider has now."""

    amount: Decimal | None = None
    currency_code: str | None = None


@dataclass(frozen=True, kw_only=True)
class AuthorizeResult(SessionResult):
    """The answer to an AuthorizeRequest.

    With a `next_action` nothing is held yet. Otherwise `amount` is what is held, which may be less than was asked, and
    `captured_amount` how much of it the provider has taken already. A refusal with `is_missing` says that the provider
    no longer has the session, which nobody can pay there any more: the next try begins anew.
    """

    amount: Decimal | None = None
    currency_code: str | None = None
    captured_amount: Decimal = Decimal(0)
    is_missing: bool = False


@dataclass(frozen=True, kw_only=True)
class MovementResult(ProviderResult):
    """An answer about money that moved: `amount` and `currency_code` as the provider states them."""

    amount: Decimal | None = None
    currency_code: str | None = None
    provider_data: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class CaptureResult(MovementResult):
    """The answer to a CaptureRequest; `releases_remainder` where the provider releases what wasn't captured."""

    releases_remainder: bool = False


@dataclass(frozen=True, kw_only=True)
class RefundResult(MovementResult):
    """The answer to a RefundRequest.

    One that was declined although a part of it has gone back says so in a `fact`, whose movements name no operation.
    """

    fact: SessionFact | None = None


@dataclass(frozen=True, kw_only=True)
class CancelResult(ProviderResult):
    """The answer to a CancelRequest.

    A provider that knows where the session stands now says so in `fact`: a part of it may have been captured where
    nobody told us. Without one, all that isn't captured in the books is released.
    """

    fact: SessionFact | None = None


@dataclass(frozen=True, kw_only=True)
class RetrieveResult(ProviderResult):
    """The answer to a RetrieveRequest; succeeded without a `fact` means that the provider has no such session."""

    fact: SessionFact | None = None


@dataclass(frozen=True, kw_only=True)
class WebhookResult:
    """A verified event.

    What it is about is looked for by `session_id`, or else by `provider_reference`, or else by `capture_reference`: the
    provider's name for a capture of the session, which no other session's capture has. An event without any of them
    isn't ours. Where it is about several sessions at once, such as a dispute of several payments, `other_captures`
    names captures of the others: the provider is asked about each. `fact` is None where the event is only a hint that
    something happened: the services then ask the provider. `payload` is redacted: what may be kept for replay and shown
    to an operator.
    """

    event_id: str
    event_type: str
    session_id: str | None = None
    provider_reference: str | None = None
    capture_reference: str | None = None
    other_captures: tuple[str, ...] = ()
    fact: SessionFact | None = None
    occurred_at: datetime | None = None
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
