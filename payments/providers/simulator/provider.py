"""The simulator's provider: each verb is one HTTP request, and a second one only to look after a conflict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

from django.utils.translation import gettext_lazy as _

from payments.exceptions import DeclinedError
from payments.money import from_minor_units, to_minor_units
from payments.providers.base import BaseProvider
from payments.providers.requests import (
    AuthorizeRequest,
    CancelRequest,
    CaptureRequest,
    InitiateRequest,
    ProviderRequest,
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
from payments.providers.simulator.accounts import SimulatorAccounts
from payments.providers.simulator.client import SimulatorOptions
from payments.providers.simulator.translation import (
    CUSTOMER_NEEDED,
    Intent,
    amount_of,
    fact_of,
    failure_of,
    log_of,
    next_action,
    private_data,
    public_data,
    time_of,
    waits_for_customer,
)
from payments.providers.simulator.webhooks import refusing_malformed_events, verified_event
from payments.states import Outcome

NOBODYS_METHOD: Final = "pm_nobodys"
"""An id that no saved card has, so that the simulator refuses it like any that isn't there."""

_INTENT_GONE: Final = "intent_not_found"


class SimulatorProvider(SimulatorAccounts, BaseProvider[SimulatorOptions]):
    """The provider of pretend payments through the simulator.

    A browser sends a `card`, or as `payment_method` the id of one that its customer has saved.
    """

    options_class = SimulatorOptions
    verbose_name = _("Simulated card")
    moves_real_money = False
    public_data_keys = frozenset({"intent_id", "client_token", "status", "challenge_error"})
    input_keys = frozenset({"card", "code", "payment_method"})
    supports_webhooks: ClassVar[bool] = True

    def dashboard_url(self, provider_reference: str) -> str:
        """Return the simulator's page of an intent."""
        return f"{self.options.base_url.rstrip('/')}/intents/{quote(provider_reference, safe='')}"

    def initiate(self, request: InitiateRequest) -> InitiateResult:
        """Make an intent; the payer's card is only sent when it is authorized."""
        body = {
            "amount": _minor(request),
            "currency": request.currency_code,
            "reference": request.session_id,
            "return_url": request.context.return_url,
            "metadata": {"collection": request.collection_id},
            "customer": request.context.account_reference,
        }
        intent = self._client.post("/v1/intents", body, idempotency_key=request.idempotency_key)
        return InitiateResult(outcome=Outcome.SUCCEEDED, **_session_parts(intent))

    def update(self, request: UpdateRequest) -> UpdateResult:
        """Change the intent's amount."""
        intent = self._client.post(
            _path(request), {"amount": _minor(request)}, idempotency_key=request.idempotency_key
        )
        return UpdateResult(
            outcome=Outcome.SUCCEEDED,
            amount=amount_of(intent, "amount"),
            currency_code=intent["currency"],
            **_session_parts(intent),
        )

    def authorize(self, request: AuthorizeRequest) -> AuthorizeResult:
        """Authorize with a card or a saved one, or with the code that its bank asked for."""
        if request.refuses_saved and not request.input:
            intent = self._client.get(_path(request))
            if waits_for_customer(intent):
                return _authorization(intent)
        body = {
            "card": request.input.get("card"),
            "code": request.input.get("code"),
            "method": request.saved_method or _chosen_method(request),
            "off_session": True if request.saved_method else None,
            "reference": request.operation_id,
        }
        try:
            intent = self._client.post(
                _path(request, "/authorize"), body, idempotency_key=request.idempotency_key
            )
        except DeclinedError as error:
            if error.code not in ("already_authorized", CUSTOMER_NEEDED):
                raise
            # The payer passed the challenge on the bank's page, so there is nothing left to ask for; or the bank wants
            # a customer who is away.
            intent = self._client.get(_path(request))
        return _authorization(intent)

    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Take a part of what is authorized, or all of it."""
        body = {"amount": _minor(request), "reference": request.operation_id}
        row = self._client.post(_path(request, "/captures"), body, idempotency_key=request.idempotency_key)
        return CaptureResult(**_movement_parts(row))

    def refund(self, request: RefundRequest) -> RefundResult:
        """Give back a part of what was captured, or all of it."""
        body = {"amount": _minor(request), "reference": request.operation_id, "reason": request.reason}
        row = self._client.post(_path(request, "/refunds"), body, idempotency_key=request.idempotency_key)
        return RefundResult(**_movement_parts(row))

    def cancel(self, request: CancelRequest) -> CancelResult:
        """Release what isn't captured; what is released already counts as done."""
        body = {"reference": request.operation_id}
        try:
            intent = self._client.post(
                _path(request, "/cancel"), body, idempotency_key=request.idempotency_key
            )
        except DeclinedError as error:
            if error.code != "already_canceled":
                raise
            intent = self._client.get(_path(request))
        return CancelResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=intent["id"],
            provider_log=log_of(intent),
            fact=fact_of(intent),
        )

    def retrieve(self, request: RetrieveRequest) -> RetrieveResult:
        """Look the intent up, by its id or by our reference where the id never reached us."""
        intent = self._find(request)
        if intent is None:
            return RetrieveResult(outcome=Outcome.SUCCEEDED)
        return RetrieveResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=intent["id"],
            provider_log=log_of(intent),
            fact=fact_of(intent),
        )

    def parse_webhook(self, request: WebhookRequest) -> WebhookResult:
        """Verify an event; it carries the whole intent, so it states a whole fact."""
        event = verified_event(request, self.options)
        with refusing_malformed_events():
            return _webhook_result(event)

    def _find(self, request: RetrieveRequest) -> Intent | None:
        if request.provider_reference is not None:
            try:
                return self._client.get(f"/v1/intents/{quote(request.provider_reference, safe='')}")
            except DeclinedError as error:
                if error.code != _INTENT_GONE:
                    raise
                return None
        found = self._client.get(f"/v1/intents?{urlencode({'reference': request.session_id})}")["data"]
        return found[0] if found else None


def _path(request: ProviderRequest, suffix: str = "") -> str:
    return f"/v1/intents/{quote(request.provider_reference or '', safe='')}{suffix}"


def _chosen_method(request: AuthorizeRequest) -> str | None:
    """Return the saved card that the payer chose; for others than its customer, one that isn't there."""
    chosen = request.input.get("payment_method")
    return NOBODYS_METHOD if chosen and request.refuses_saved else chosen


def _minor(request: ProviderRequest) -> int:
    return to_minor_units(request.amount, request.currency_code)


def _webhook_result(event: Mapping[str, Any]) -> WebhookResult:
    intent: Intent = event["intent"]
    occurred_at = time_of(event["created"])
    return WebhookResult(
        event_id=event["id"],
        event_type=event["type"],
        session_id=intent["reference"],
        provider_reference=intent["id"],
        fact=fact_of(intent, occurred_at=occurred_at),
        occurred_at=occurred_at,
        payload=log_of(intent),
    )


def _session_parts(intent: Intent) -> dict[str, Any]:
    return {
        "provider_reference": intent["id"],
        "data": public_data(intent),
        "provider_data": private_data(intent),
        "provider_log": log_of(intent),
    }


def _authorization(intent: Intent) -> AuthorizeResult:
    parts = _session_parts(intent)
    action = next_action(intent)
    if action is not None:
        return AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=action, **parts)
    if intent["status"] == "processing":
        return AuthorizeResult(outcome=Outcome.PENDING, **parts)
    if intent["status"] == "declined":
        return AuthorizeResult(outcome=Outcome.DECLINED, failure=failure_of(intent["decline"]), **parts)
    return AuthorizeResult(
        outcome=Outcome.SUCCEEDED if intent["status"] == "authorized" else Outcome.UNKNOWN,
        amount=amount_of(intent, "amount_authorized"),
        currency_code=intent["currency"],
        captured_amount=amount_of(intent, "amount_captured"),
        **parts,
    )


def _movement_parts(row: Mapping[str, Any]) -> dict[str, Any]:
    outcomes = {"succeeded": Outcome.SUCCEEDED, "pending": Outcome.PENDING, "failed": Outcome.DECLINED}
    return {
        "outcome": outcomes[row["status"]],
        "failure": failure_of(row["failure"]),
        "provider_reference": row["id"],
        "amount": from_minor_units(row["amount"], row["currency"]),
        "currency_code": row["currency"],
        "provider_log": {name: row[name] for name in ("id", "status", "amount", "currency", "reason")},
    }
