"""Stripe's events: proven first, then read as a fact or taken as a hint to look the intent up.

An event that isn't about a session of ours, on an account that others use too, changes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import stripe

from payments.exceptions import AmountError, CurrencyError, WebhookVerificationError
from payments.providers.base import EndpointReport, leads_to
from payments.providers.facts import SessionFact
from payments.providers.requests import WebhookRequest
from payments.providers.results import WebhookResult
from payments.providers.stripe import translation
from payments.providers.stripe.client import SESSION_KEY, Json, StripeApi
from payments.providers.stripe.options import StripeOptions
from payments.providers.stripe.parameters import OPERATION_KEY

Event = Mapping[str, Any]

EVENTS: Final = (
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.partially_funded",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "refund.created",
    "refund.failed",
    "refund.updated",
    "charge.captured",
    "charge.expired",
    "charge.refunded",
    "charge.succeeded",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
)
"""What an endpoint has to be sent. `charge.refund.updated` and `payment_intent.created` are understood too."""

ALL_EVENTS: Final = "*"

_OTHER_VERSION: Final = "its events are in {}, so they are only taken as hints to ask Stripe"
_FAMILIES: Final = ("payment_intent.", "refund.", "charge.")
_THIN: Final = "v2.core.event"
_UNREADABLE: Final = (LookupError, TypeError, AttributeError, ValueError, AmountError, CurrencyError)


def webhook_result(request: WebhookRequest, options: StripeOptions) -> WebhookResult:
    """Return a proven event; raise WebhookVerificationError for any other."""
    event = _decoded(_verified(request, options))
    is_other_mode = event["livemode"] is not options.is_live
    # What is in an account that is connected to a platform was made by its owner: https://docs.stripe.com/connect/webhooks
    if is_other_mode or event.get("account") or not _is_known(event["type"]):
        return WebhookResult(**_common(event))
    if event.get("object") == _THIN:
        return WebhookResult(**_common(event), provider_reference=_thin_reference(event))
    return _about(event, options)


def _verified(request: WebhookRequest, options: StripeOptions) -> str:
    """Return the body as text, if one of our secrets has signed it a moment ago."""
    header = request.headers.get("stripe-signature", "")
    try:
        text = request.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WebhookVerificationError("The event is not a text.", code="webhook_malformed") from error
    _check_time(header, options.webhook_tolerance)
    # All are tried, so that the time taken doesn't tell which secret was near.
    matches = [_is_signed(text, header, secret) for secret in options.webhook_secrets]
    if not any(matches):
        raise WebhookVerificationError("The signature doesn't fit.")
    return text


def _check_time(header: str, tolerance: float) -> None:
    """Refuse a signature that is malformed, too old, or from the future, which Stripe's library would accept."""
    times = [
        value for name, _sep, value in (part.partition("=") for part in header.split(",")) if name == "t"
    ]
    if not header.isascii() or len(times) != 1 or not times[0].isdigit():
        raise WebhookVerificationError("The Stripe-Signature header is missing or malformed.")
    if abs(time.time() - int(times[0][:18])) > tolerance:
        raise WebhookVerificationError(
            "The signature is too old, or from the future.", code="webhook_too_old"
        )


def _is_signed(text: str, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(text, header, secret))
    except stripe.SignatureVerificationError:
        return False


def _decoded(text: str) -> Event:
    """Return an event that has all that every event has."""
    try:
        event = json.loads(text)
        if not (isinstance(event["id"], str) and isinstance(event["type"], str) and event["id"]):
            raise TypeError
        occurred_at = _time_of(event["created"])
        return {**event, "created": occurred_at, "livemode": bool(event["livemode"])}
    except (*_UNREADABLE, ArithmeticError, OSError, RecursionError) as error:
        raise WebhookVerificationError("The event is malformed.", code="webhook_malformed") from error


def _time_of(value: Any) -> datetime:
    """Return when something happened: snapshot events say so in seconds, thin ones in ISO 8601."""
    if not isinstance(value, str):
        return translation.time_of(value)
    occurred_at = datetime.fromisoformat(value)
    if occurred_at.tzinfo is None:
        raise ValueError("a time without its zone")
    return occurred_at


def _is_known(event_type: str) -> bool:
    return event_type.removeprefix("v1.").startswith(_FAMILIES)


def _thin_reference(event: Event) -> str | None:
    """Return the intent that a thin event is about; those about charges and refunds don't say."""
    related = event.get("related_object") or {}
    return related.get("id") if related.get("type") == "payment_intent" else None


def _about(event: Event, options: StripeOptions) -> WebhookResult:
    """Return what an event with a snapshot is about, and its fact if it states one."""
    row = (event.get("data") or {}).get("object")
    if not isinstance(row, Mapping):
        return WebhookResult(**_common(event))
    is_intent = row.get("object") == "payment_intent"
    # A charge that is held says until when; one that was taken at once says nothing that the intent's event doesn't.
    is_told_otherwise = event["type"] == "charge.succeeded" and row.get("captured")
    if is_told_otherwise or (is_intent and not translation.is_ours(row)):
        return WebhookResult(**_common(event))
    reference = row.get("id") if is_intent else row.get("payment_intent")
    return WebhookResult(
        **_common(event, row),
        session_id=translation.metadata(row).get(SESSION_KEY),
        provider_reference=reference if isinstance(reference, str) else None,
        fact=_fact(event, row, options),
    )


def _fact(event: Event, row: Mapping[str, Any], options: StripeOptions) -> SessionFact | None:
    """Return the fact that an event states; None where it is only a hint.

    An event of another API version may mean something else by the same name, one with a `context` may be of another
    account, and one about a charge or a dispute doesn't tell the whole truth: a charge counts what was released as
    refunded, and a dispute may be one of several.
    """
    if event.get("api_version") != options.api_version or event.get("context"):
        return None
    try:
        if row["object"] == "payment_intent":
            return translation.session_fact(
                row, publishable_key=options.publishable_key, occurred_at=event["created"]
            )
        if row["object"] == "refund" and translation.metadata(row).get(OPERATION_KEY):
            return SessionFact(
                currency_code=row["currency"],
                movements=(translation.refund_fact(row),),
                provider_reference=row["payment_intent"],
                occurred_at=event["created"],
            )
    except _UNREADABLE:
        return None
    return None


def _common(event: Event, row: Mapping[str, Any] | None = None) -> dict[str, Any]:
    kept = ("id", "object", "status", "amount", "currency")
    about = {name: (row or {}).get(name) for name in kept}
    return {
        "event_id": event["id"],
        "event_type": event["type"],
        "occurred_at": event["created"],
        "payload": {"api_version": event.get("api_version"), "livemode": event["livemode"], "about": about},
    }


def endpoint_reports(options: StripeOptions, *, path: str) -> list[EndpointReport]:
    """Return a report of each endpoint whose address has this path.

    Raises RefusedError, ProviderUnavailableError and whatever a call to Stripe raises.
    """
    endpoints = StripeApi(options).webhook_endpoints()
    return [_report(row, options) for row in endpoints if leads_to(row["url"], path)]


def _report(endpoint: Json, options: StripeOptions) -> EndpointReport:
    enabled = endpoint["enabled_events"]
    version = endpoint["api_version"]
    notes = (
        [] if version == options.api_version else [_OTHER_VERSION.format(version or "the account's default")]
    )
    return EndpointReport(
        url=endpoint["url"],
        missing=[] if ALL_EVENTS in enabled else [name for name in EVENTS if name not in enabled],
        problems=[] if endpoint["status"] == "enabled" else ["it is disabled"],
        notes=notes,
    )
