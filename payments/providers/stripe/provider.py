"""The Stripe provider: each verb is one request, and further ones only to look after a conflict."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from django.core.checks import CheckMessage, Warning
from django.utils.translation import gettext_lazy as _

from payments.providers.base import BaseProvider, EndpointReport
from payments.providers.errors import answering
from payments.providers.facts import Failure
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
from payments.providers.stripe import parameters, translation
from payments.providers.stripe.accounts import StripeAccounts
from payments.providers.stripe.client import Json
from payments.providers.stripe.errors import Reason, RefusedError, StripeAnswerError
from payments.providers.stripe.options import StripeOptions
from payments.providers.stripe.parameters import RULES, from_units, intent_id
from payments.providers.stripe.webhooks import EVENTS, endpoint_reports, webhook_result
from payments.states import MovementKind, MovementStatus, Outcome

if TYPE_CHECKING:
    from stripe import params as p

DASHBOARD: Final = "https://dashboard.stripe.com"
_REFUND_OUTCOMES: Final = {
    MovementStatus.PENDING: Outcome.PENDING,
    MovementStatus.SUCCEEDED: Outcome.SUCCEEDED,
    MovementStatus.FAILED: Outcome.DECLINED,
}


class StripeProvider(StripeAccounts, BaseProvider[StripeOptions]):
    """The provider of payments through Stripe's PaymentIntents.

    A browser sends `payment_method` or `confirmation_token` to authorize, or nothing where it has confirmed the intent
    with Stripe's own script.
    """

    options_class = StripeOptions
    verbose_name = _("Stripe")
    public_data_keys = frozenset(
        {"intent_id", "client_secret", "publishable_key", "status", "next_action.type", "next_action.url"}
    )
    input_keys = frozenset({"payment_method", "confirmation_token"})
    supports_multiple_captures: ClassVar[bool] = False
    supports_webhooks: ClassVar[bool] = True
    webhook_events: ClassVar[Sequence[str]] = EVENTS

    def __init__(self, *, alias: str, options: StripeOptions) -> None:
        super().__init__(alias=alias, options=options)
        # What this account may do, not what the class can.
        self.__dict__["supports_multiple_captures"] = options.multicapture

    @property
    def moves_real_money(self) -> bool:
        """Whether the key is one of live mode."""
        return self.options.is_live

    @property
    def is_meant_to_pretend(self) -> bool:
        """Whether the options say that test mode is meant; a test key alone may be a slip."""
        return self.options.livemode is False

    def amount_step(self, currency_code: str) -> Decimal:
        """Return the amount of which Stripe takes multiples only."""
        return RULES.step(currency_code)

    def dashboard_url(self, provider_reference: str) -> str:
        """Return Stripe's page of a PaymentIntent, among the test payments where the key is one of those."""
        mode = "test/" if "_test_" in self.options.api_key else ""
        return f"{DASHBOARD}/{mode}payments/{quote(provider_reference, safe='')}"

    def movement_url(self, kind: MovementKind, provider_reference: str) -> str:
        """Return the page of the PaymentIntent that a capture is of; a refund's name doesn't tell."""
        intent_id = provider_reference.partition("/")[0]
        is_known = kind == MovementKind.CAPTURE and intent_id.startswith("pi_")
        return self.dashboard_url(intent_id) if is_known else ""

    @answering(InitiateResult)
    def initiate(self, request: InitiateRequest) -> InitiateResult:
        """Make a PaymentIntent; where the payer's Customer was deleted at Stripe, without one, so that they can pay."""
        self._check_saved(request)
        try:
            intent = self._create_intent(request)
        except RefusedError as error:
            if not (error.is_missing and error.param == "customer"):
                raise
            intent = self._create_intent(parameters.as_guest(request))
        return InitiateResult(outcome=Outcome.SUCCEEDED, **self._session_parts(intent))

    @answering(UpdateResult)
    def update(self, request: UpdateRequest) -> UpdateResult:
        """Change the intent's amount, and with it what the payer has chosen to pay with."""
        params = parameters.update_intent(request)
        self._check_saved(request)
        intent = self._api.update_intent(intent_id(request), params, key=request.idempotency_key)
        return UpdateResult(
            outcome=Outcome.SUCCEEDED,
            amount=translation.amount_of(intent, "amount"),
            currency_code=intent["currency"],
            **self._session_parts(intent),
        )

    @answering(AuthorizeResult)
    def authorize(self, request: AuthorizeRequest) -> AuthorizeResult:
        """Confirm the intent with what the payer sent, or report how the payer's browser has confirmed it."""
        params = parameters.confirm_intent(request)
        try:
            self._check_saved(request)
        except RefusedError as error:
            return self._confirmed_before(request, error)
        if not (request.input or request.saved_method):
            intent = self._api.intent(intent_id(request))
            method = translation.method_to_confirm(intent)
            is_ready = method is not None or intent["status"] == "requires_confirmation"
            if not is_ready or self._is_anothers(request, method or intent["payment_method"]):
                return self._authorization(intent)
            if method is not None:
                params["payment_method"] = method
        try:
            intent = self._api.confirm_intent(intent_id(request), params, key=request.idempotency_key)
        except RefusedError as error:
            return self._after_refusal(request, error)
        return self._authorization(intent)

    @answering(CaptureResult)
    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Take a part of what is held, or all of it; the rest is released unless it may be captured later."""
        keeps_rest = not request.is_final and self._keeps_rest(request)
        params = parameters.capture_intent(request, keeps_rest=keeps_rest)
        try:
            intent = self._api.capture_intent(intent_id(request), params, key=request.idempotency_key)
        except RefusedError as error:
            intent = self._looked_up_capture(request, error)
        return _captured(intent, request, releases_remainder=not keeps_rest)

    @answering(RefundResult)
    def refund(self, request: RefundRequest) -> RefundResult:
        """Give back a part of what was captured, or all of it."""
        try:
            refund = self._api.create_refund(parameters.create_refund(request), key=request.idempotency_key)
        except RefusedError as error:
            refund = self._looked_up_refund(request, error)
        return RefundResult(
            outcome=_REFUND_OUTCOMES[translation.refund_status(refund)],
            failure=translation.refund_failure(refund),
            provider_reference=refund["id"],
            amount=translation.amount_of(refund, "amount"),
            currency_code=refund["currency"],
            provider_log=translation.refund_log(refund),
        )

    @answering(CancelResult)
    def cancel(self, request: CancelRequest) -> CancelResult:
        """Abandon the intent, or release what it still holds; what is released already counts as done."""
        try:
            intent = self._release(request)
        except RefusedError as error:
            if error.is_missing:
                raise
            intent = self._api.intent(intent_id(request))
            is_paid_with = request.payment_id is None and intent["amount_received"]
            if is_paid_with or not _is_released(intent):
                raise
        return CancelResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=intent["id"],
            provider_log=translation.log_of(intent),
            fact=translation.session_fact(intent, publishable_key=self.options.publishable_key),
        )

    def retrieve(self, request: RetrieveRequest) -> RetrieveResult:
        """Look the intent up, by its id or by our session's where the id never reached us."""
        intent = (
            self._api.find_intent(request.session_id)
            if request.provider_reference is None
            else self._api.intent_or_none(request.provider_reference)
        )
        if intent is None:
            return RetrieveResult(outcome=Outcome.SUCCEEDED)
        return RetrieveResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=intent["id"],
            provider_log=translation.log_of(intent),
            fact=translation.session_fact(
                intent,
                publishable_key=self.options.publishable_key,
                refunds=self._refunds(intent),
                disputes=self._disputes(intent),
            ),
        )

    def parse_webhook(self, request: WebhookRequest) -> WebhookResult:
        """Verify an event; it carries a fact, or is a hint to look the intent up."""
        return webhook_result(request, self.options)

    def endpoint_reports(self, *, path: str) -> Sequence[EndpointReport]:
        """Report what is wrong with the account's endpoints whose address has this path."""
        return endpoint_reports(self.options, path=path)

    def check(self) -> Sequence[CheckMessage]:
        """Return what is wrong with the options: no way to prove an event."""
        messages: list[CheckMessage] = []
        entry = f'PAYMENTS["PROVIDERS"]["{self.alias}"]["OPTIONS"]'
        if not self.options.webhook_secrets:
            messages.append(
                Warning(
                    f"{entry} has no webhook secrets, so every event of Stripe's is refused.",
                    hint='Type: "webhook_secrets": ["whsec_..."]',
                    id="payments.W031",
                )
            )
        return messages

    def _create_intent(self, request: InitiateRequest) -> Json:
        params = parameters.create_intent(request, self.options)
        return self._api.create_intent(params, key=request.idempotency_key)

    def _after_refusal(self, request: AuthorizeRequest, error: RefusedError) -> AuthorizeResult:
        """Return what a refusal to confirm amounts to, which the intent itself may know better."""
        if error.is_missing or (error.is_by_card and error.failure.code != Reason.AUTHENTICATION_REQUIRED):
            raise error
        intent = self._api.intent(intent_id(request))
        # Confirmed already, as by the payer's browser, or canceled; or the bank wants the absent customer to confirm.
        return self._authorization(intent, refusal=None if error.is_by_card else error.failure)

    def _confirmed_before(self, request: AuthorizeRequest, error: RefusedError) -> AuthorizeResult:
        """Return how the intent was confirmed already, which may have saved what is refused now; else raise that."""
        intent = self._api.intent(intent_id(request))
        if intent["status"] not in ("requires_capture", "succeeded", "processing"):
            raise error
        return self._authorization(intent)

    def _is_anothers(self, request: AuthorizeRequest, method: str) -> bool:
        """Return whether an intent is to be paid with what its customer has saved, and somebody else asks for it."""
        return request.refuses_saved and self._is_saved({"payment_method": method})

    def _authorization(self, intent: Json, *, refusal: Failure | None = None) -> AuthorizeResult:
        parts = self._session_parts(intent)
        action = translation.next_action(intent)
        if intent["status"] in ("requires_capture", "succeeded"):
            return AuthorizeResult(
                outcome=Outcome.SUCCEEDED,
                amount=translation.authorized_amount(intent),
                currency_code=intent["currency"],
                captured_amount=translation.amount_of(intent, "amount_received"),
                expires_at=translation.expires_at(intent),
                **parts,
            )
        if intent["status"] == "processing":
            return AuthorizeResult(outcome=Outcome.PENDING, **parts)
        if action is not None and refusal is None:
            return AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=action, **parts)
        failure = refusal or translation.failure_of(intent) or translation.missing_method()
        return AuthorizeResult(outcome=Outcome.DECLINED, failure=failure, **parts)

    def _keeps_rest(self, request: CaptureRequest) -> bool:
        """Return whether this very payment may be captured again."""
        return self.options.multicapture and translation.allows_multicapture(
            self._api.intent(intent_id(request))
        )

    def _looked_up_capture(self, request: CaptureRequest, error: RefusedError) -> Json:
        """Return the intent if it has this very capture, which was refused because it was done already."""
        intent = self._api.intent(intent_id(request))
        if request.operation_id not in translation.own_captures(intent):
            raise error
        return intent

    def _looked_up_refund(self, request: RefundRequest, error: RefusedError) -> Json:
        """Return this very refund, if it was refused because it was made already."""
        for refund in [] if error.is_missing else self._api.refunds(intent_id(request)):
            if translation.metadata(refund).get(parameters.OPERATION_KEY) == request.operation_id:
                return refund
        raise error

    def _release(self, request: CancelRequest) -> Json:
        """Have Stripe release what it holds.

        What is captured in part can't be canceled: there, a last capture of nothing releases the rest.
        """
        key = request.idempotency_key
        if self.options.multicapture and self._api.intent(intent_id(request))["amount_received"]:
            nothing: p.PaymentIntentCaptureParams = {"amount_to_capture": 0, "final_capture": True}
            return self._api.capture_intent(intent_id(request), nothing, key=key)
        return self._api.cancel_intent(intent_id(request), parameters.cancel_intent(request), key=key)

    def _refunds(self, intent: Json) -> list[translation.Object]:
        if not intent["amount_received"]:
            return []
        return translation.real_refunds(intent, self._api.refunds(intent["id"]))

    def _disputes(self, intent: Json) -> list[Json]:
        charge = intent["latest_charge"]
        is_disputed = isinstance(charge, dict) and charge.get("disputed")
        return self._api.disputes(intent["id"]) if is_disputed else []

    def _session_parts(self, intent: Json) -> dict[str, Any]:
        return {
            "provider_reference": intent["id"],
            "data": translation.public_data(intent, publishable_key=self.options.publishable_key),
            "provider_data": translation.private_data(intent),
            "provider_log": translation.log_of(intent),
        }


def _captured(intent: Json, request: CaptureRequest, *, releases_remainder: bool) -> CaptureResult:
    """Return what Stripe states that this capture has taken: its total, less our other captures.

    Where several captures are possible, some may have been made in the dashboard, so it is what it has noted at most.
    """
    noted = translation.own_captures(intent)
    others = sum(units for operation, units in noted.items() if operation != request.operation_id)
    taken = intent["amount_received"] - others
    if translation.allows_multicapture(intent):
        taken = min(taken, noted.get(request.operation_id, taken))
    if intent["status"] == "processing":
        outcome = Outcome.PENDING
    elif taken > 0:
        outcome = Outcome.SUCCEEDED
    else:
        raise StripeAnswerError("Stripe's total is less than what was captured before.")
    return CaptureResult(
        outcome=outcome,
        provider_reference=translation.capture_reference(intent, request.operation_id),
        amount=from_units(taken, intent["currency"]) if taken > 0 else None,
        currency_code=intent["currency"],
        releases_remainder=releases_remainder,
        provider_log=translation.log_of(intent),
    )


def _is_released(intent: Json) -> bool:
    """Return whether nothing is held any more, and not because all of it was captured."""
    if intent["status"] == "canceled":
        return True
    authorized = translation.authorized_amount(intent)
    received = translation.amount_of(intent, "amount_received")
    return intent["status"] == "succeeded" and authorized is not None and received < authorized
