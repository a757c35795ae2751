"""The PayPal provider: each verb looks at the order first, then asks for one thing, and looks again after a conflict.

Looking first costs a request, and is what makes a verb safe to repeat: what was done already is found and reported, and
a capture can't take more than is held, which PayPal itself would allow up to 115 percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.utils.translation import gettext_lazy as _

from payments.providers.base import BaseProvider, EndpointReport
from payments.providers.errors import answering
from payments.providers.facts import NextAction
from payments.providers.paypal import parameters, translation
from payments.providers.paypal.client import PayPalApi, look, look_again, look_at_payment, look_or_none
from payments.providers.paypal.errors import PayPalAnswerError, RefusedError, failure
from payments.providers.paypal.options import PayPalOptions
from payments.providers.paypal.orders import Authorization, Capture, Order, read_capture, read_order
from payments.providers.paypal.parameters import order_id
from payments.providers.paypal.references import transaction_url
from payments.providers.paypal.refunds import (
    give_back,
    refund_amount,
    refund_failure,
    refund_reference,
    refund_status,
    rest_fact,
)
from payments.providers.paypal.webhooks import EVENTS, endpoint_reports, webhook_result
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
from payments.states import MovementKind, OperationKind, Outcome, SessionStatus

PAYMENT_KEYS_LAST: Final = timedelta(days=45)
"""As PayPal's OpenAPI document of Payments v2 has it; that of Orders v2 says six hours (November 2026)."""

_OF_PAYMENTS: Final = frozenset({OperationKind.CANCEL, OperationKind.CAPTURE, OperationKind.REFUND})
_PAYER_IS_NEEDED: Final = frozenset({"ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"})


class PayPalProvider(BaseProvider[PayPalOptions]):
    """The provider of payments through PayPal's orders.

    The payer approves an order at PayPal, where `next_action` leads or PayPal's own script; a browser sends nothing.
    """

    options_class = PayPalOptions
    verbose_name = _("PayPal")
    public_data_keys = frozenset({"order_id", "status", "client_id", "approve_url"})
    idempotency_window = timedelta(hours=6)
    supports_multiple_captures: ClassVar[bool] = False
    supports_webhooks: ClassVar[bool] = True
    webhook_events: ClassVar[Sequence[str]] = EVENTS

    def __init__(self, *, alias: str, options: PayPalOptions) -> None:
        super().__init__(alias=alias, options=options)
        self._api = PayPalApi(options)
        # What this account may do, not what the class can.
        self.__dict__["supports_multiple_captures"] = options.multicapture

    @property
    def moves_real_money(self) -> bool:
        """Whether it is PayPal itself and not its sandbox."""
        return self.options.livemode

    @property
    def is_meant_to_pretend(self) -> bool:
        """Whether the sandbox is meant, which is only used where the options say so."""
        return not self.options.livemode

    def key_window(self, kind: OperationKind) -> timedelta | None:
        """Return how long PayPal keeps a key: those of payments for longer than those of orders."""
        return PAYMENT_KEYS_LAST if kind in _OF_PAYMENTS else self.idempotency_window

    def amount_step(self, currency_code: str) -> Decimal:
        """Return the amount of which PayPal takes multiples only; raise DeclinedError for a currency it won't take."""
        return parameters.amount_step(currency_code)

    def movement_url(self, kind: MovementKind, provider_reference: str) -> str:
        """Return PayPal's page of a capture or refund; a refund that took several of PayPal's has none."""
        return transaction_url(provider_reference, self.options)

    @answering(InitiateResult)
    def initiate(self, request: InitiateRequest) -> InitiateResult:
        """Make an order, which the payer then approves."""
        body = parameters.create_order(request, self.options)
        order = read_order(self._api.create_order(body, key=request.idempotency_key))
        return InitiateResult(
            outcome=Outcome.SUCCEEDED,
            next_action=translation.next_action(order),
            **self._session_parts(order),
        )

    @answering(UpdateResult)
    def update(self, request: UpdateRequest) -> UpdateResult:
        """Change the order's amount."""
        self._api.patch_order(order_id(request), parameters.update_order(request))
        order = look_again(self._api, request)
        return UpdateResult(
            outcome=Outcome.SUCCEEDED,
            amount=order.amount,
            currency_code=order.currency_code,
            next_action=translation.next_action(order),
            **self._session_parts(order),
        )

    @answering(AuthorizeResult)
    def authorize(self, request: AuthorizeRequest) -> AuthorizeResult:
        """Have the amount of an approved order held, or taken; otherwise say where to approve it."""
        try:
            return self._hold(request)
        except RefusedError as error:
            # PayPal forgets what isn't approved for hours, and takes nothing for what was approved too late.
            if not (error.is_missing or error.issue == "ORDER_EXPIRED"):
                raise
            return AuthorizeResult(outcome=Outcome.DECLINED, failure=error.failure, is_missing=True)

    def _hold(self, request: AuthorizeRequest) -> AuthorizeResult:
        order = look(self._api, request)
        if order.is_canceled and not order.is_paid:
            raise _refused("ORDER_CANCELED")
        if translation.is_ready(order):
            return self._ask_for_money(request, order)
        return self._authorization(order)

    @answering(CaptureResult)
    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Take a part of what is held, or all of it; the rest is released unless it may be captured later."""
        order = look_at_payment(self._api, request)
        capture = order.capture_of(request.operation_id) or self._take(request, order)
        return CaptureResult(
            outcome=translation.OUTCOMES[translation.capture_status(capture)],
            failure=translation.capture_failure(capture),
            provider_reference=capture.id,
            amount=capture.amount,
            currency_code=order.currency_code,
            releases_remainder=capture.is_final,
            provider_log={"id": capture.id, "status": capture.status, "reason": capture.reason},
        )

    @answering(RefundResult)
    def refund(self, request: RefundRequest) -> RefundResult:
        """Give back a part of what was captured, or all of it, out of as few captures as possible."""
        given = give_back(self._api, request)
        refunds, total = given.refunds, request.amount
        refusal = refund_failure(refunds, total)
        if refusal is not None and given.refusal is not None:
            refusal = replace(refusal, detail=given.refusal.detail)
        return RefundResult(
            outcome=translation.OUTCOMES[refund_status(refunds, total)],
            failure=refusal,
            provider_reference=refund_reference(refunds),
            amount=refund_amount(refunds),
            currency_code=request.currency_code,
            fact=rest_fact(refunds, total, request.currency_code),
            provider_log={"refunds": [f"{row.id} {row.status} {row.amount}" for row in refunds]},
        )

    @answering(CancelResult)
    def cancel(self, request: CancelRequest) -> CancelResult:
        """Abandon the order, or release what is still held; what is released already counts as done."""
        order = look_or_none(self._api, request)
        if order is None and request.payment_id is None:
            # PayPal forgets an order that wasn't approved in time.
            return CancelResult(outcome=Outcome.SUCCEEDED, provider_reference=request.provider_reference)
        if order is None:
            raise PayPalAnswerError("PayPal doesn't know the order of a payment.")
        self._let_go(request, order)
        if order.authorization is not None:
            order = look_again(self._api, request)  # What was captured in PayPal's dashboard stays captured.
        return CancelResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=order.id,
            provider_log=translation.log_of(order),
            fact=None if order.authorization is None else translation.session_fact(order, self.options),
        )

    def retrieve(self, request: RetrieveRequest) -> RetrieveResult:
        """Look the order up by its id. PayPal can't look one up by ours."""
        answer = (
            None
            if request.provider_reference is None
            else self._api.order_or_none(request.provider_reference)
        )
        if answer is None:
            return RetrieveResult(outcome=Outcome.SUCCEEDED)
        order = read_order(answer)
        taken = (capture for capture in order.captures if capture.is_taken)
        # One dispute may be about several captures.
        disputes = {row["dispute_id"]: row for capture in taken for row in self._api.disputes(capture.id)}
        return RetrieveResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=order.id,
            provider_log=translation.log_of(order),
            fact=translation.session_fact(order, self.options, disputes=list(disputes.values())),
        )

    def parse_webhook(self, request: WebhookRequest) -> WebhookResult:
        """Verify an event, which is a hint to look the order up."""
        return webhook_result(request, self.options)

    def endpoint_reports(self, *, path: str) -> Sequence[EndpointReport]:
        """Report what is wrong with the app's webhooks whose address has this path."""
        return endpoint_reports(self.options, path=path)

    def check(self) -> Sequence[CheckMessage]:
        """Return what is doubtful about the options: real money in DEBUG, and no way to prove an event."""
        messages: list[CheckMessage] = []
        entry = f'PAYMENTS["PROVIDERS"]["{self.alias}"]["OPTIONS"]'
        if self.options.livemode and settings.DEBUG:
            messages.append(
                Warning(
                    f"{entry} is about real money, and DEBUG is on.",
                    hint='Say that PayPal\'s sandbox is meant: "livemode": False',
                    id="payments.W040",
                )
            )
        if not self.options.webhook_ids:
            messages.append(
                Warning(
                    f"{entry} has no webhook ids, so every event of PayPal's is refused.",
                    hint='Type the id that PayPal shows next to the webhook: "webhook_ids": ["..."]',
                    id="payments.W041",
                )
            )
        return messages

    def _ask_for_money(self, request: AuthorizeRequest, order: Order) -> AuthorizeResult:
        """Have an approved order's amount held or taken."""
        ask = self._api.capture_order if order.takes_at_once else self._api.authorize_order
        try:
            return self._authorization(read_order(ask(order.id, key=request.idempotency_key)))
        except RefusedError as error:
            current = look_again(self._api, request)
            if current.is_paid:
                return self._authorization(current)
            if error.issue not in _PAYER_IS_NEEDED or current.approve_url is None:
                raise
            # Approved once, but not for this: the amount has been raised since, or the payer's bank wants to see them.
            action = NextAction(type="redirect", url=current.approve_url)
            return AuthorizeResult(
                outcome=Outcome.SUCCEEDED, next_action=action, **self._session_parts(current)
            )

    def _authorization(self, order: Order) -> AuthorizeResult:
        parts = self._session_parts(order)
        status = translation.session_status(order)
        action = translation.next_action(order)
        if status == SessionStatus.AUTHORIZED:
            return AuthorizeResult(
                outcome=Outcome.SUCCEEDED,
                amount=translation.authorized_amount(order),
                currency_code=order.currency_code,
                captured_amount=order.captured,
                expires_at=None if order.authorization is None else order.authorization.expires_at,
                **parts,
            )
        if action is not None:
            return AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=action, **parts)
        if order.is_paid and status == SessionStatus.PENDING:
            return AuthorizeResult(outcome=Outcome.PENDING, **parts)
        refusal = translation.refusal_of(order) or failure("ORDER_COMPLETED_OR_VOIDED")
        return AuthorizeResult(outcome=Outcome.DECLINED, failure=refusal, **parts)

    def _take(self, request: CaptureRequest, order: Order) -> Capture:
        """Take money that an order's authorization holds."""
        authorization = _capturable(order, request.amount)
        keeps_rest = self.options.multicapture and not request.is_final
        body = parameters.capture(request, self.options, keeps_rest=keeps_rest)
        try:
            answer = self._api.capture(authorization.id, body, key=request.idempotency_key)
        except RefusedError:
            found = look_again(self._api, request).capture_of(request.operation_id)
            if found is None:
                raise
            return found
        return read_capture(answer, order.currency_code)

    def _let_go(self, request: CancelRequest, order: Order) -> None:
        """Release what an order's authorization holds, or abandon an order that has none."""
        if request.payment_id is None and order.reserved:
            raise _refused("PREVIOUSLY_CAPTURED")
        if order.authorization is not None:
            self._release(request, order, order.authorization)
        elif order.captures:
            raise _refused("PREVIOUSLY_CAPTURED")
        else:
            self._api.patch_order(order.id, parameters.abandon_order(request))

    def _release(self, request: CancelRequest, order: Order, authorization: Authorization) -> None:
        """Have PayPal release what it holds, if it still does."""
        if order.released or authorization.status == "DENIED":
            return
        try:
            self._void(request, order, authorization)
        except RefusedError:
            if not look_again(self._api, request).released:
                raise

    def _void(self, request: CancelRequest, order: Order, authorization: Authorization) -> None:
        """Void an authorization; where that is a reauthorization, which has no void of its own, the first one."""
        try:
            self._api.void(authorization.id, key=request.idempotency_key)
        except RefusedError as error:
            if error.issue != "CANNOT_BE_VOIDED":
                raise
            self._api.void(order.authorizations[0].id, key=f"{request.idempotency_key}-first")

    def _session_parts(self, order: Order) -> dict[str, Any]:
        return {
            "provider_reference": order.id,
            "data": translation.public_data(order, self.options),
            "provider_data": translation.private_data(order),
            "provider_log": translation.log_of(order),
        }


def _capturable(order: Order, amount: Decimal) -> Authorization:
    """Return the authorization that an amount (major units) can be captured of.

    Raises RefusedError where less is held.
    """
    if order.authorization is None:
        raise _refused("PREVIOUSLY_CAPTURED" if order.captures else "ORDER_NOT_APPROVED")
    if order.reserved + amount > order.authorization.amount:
        raise _refused("MAX_CAPTURE_AMOUNT_EXCEEDED")
    return order.authorization


def _refused(issue: str) -> RefusedError:
    return RefusedError(failure(issue), issue=issue)
