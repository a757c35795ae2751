"""Providers that each break one rule of the contract, on top of one that keeps them all."""

from __future__ import annotations

import uuid
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from payments import providers
from payments.exceptions import DeclinedError, WebhookVerificationError
from payments.providers.account_holders import (
    AccountRequest,
    CreateAccountRequest,
    CreateAccountResult,
    ListMethodsResult,
    RemoveMethodRequest,
    RemoveMethodResult,
)
from payments.providers.simulator import SimulatorProvider
from payments.providers.simulator.client import SimulatorError
from payments.states import Outcome


class PublishesAnUndeclaredKey(SimulatorProvider):
    def initiate(self, request: providers.InitiateRequest) -> providers.InitiateResult:
        result = super().initiate(request)
        return replace(result, data={**(result.data or {}), "risk_score": 12})


class PublishesAnUndeclaredObject(SimulatorProvider):
    def initiate(self, request: providers.InitiateRequest) -> providers.InitiateResult:
        result = super().initiate(request)
        return replace(result, data={**(result.data or {}), "client_token": {"score": 12}})


class SendsThePayerToItsApiKey(SimulatorProvider):
    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        result = super().authorize(request)
        if result.next_action is None or result.next_action.url is None:
            return result
        action = providers.NextAction(
            type="redirect", url=f"{result.next_action.url}?key={self.options.api_key}"
        )
        return replace(result, next_action=action)


class NamesARefusalInWords(SimulatorProvider):
    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        try:
            return super().authorize(request)
        except DeclinedError as error:
            raise DeclinedError(error.message, code="Card declined!") from error


class PublishesAPrivateValue(SimulatorProvider):
    def initiate(self, request: providers.InitiateRequest) -> providers.InitiateResult:
        result = super().initiate(request)
        token = (result.provider_data or {})["network_token"]
        return replace(result, data={**(result.data or {}), "client_token": token})


class PublishesItsApiKey(SimulatorProvider):
    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        result = super().authorize(request)
        return replace(result, data={**(result.data or {}), "client_token": f"Bearer {self.options.api_key}"})


class MovesMoneyPerhaps(SimulatorProvider):
    moves_real_money = None  # type: ignore[assignment]


class DeclaresLessThanItDoes(SimulatorProvider):
    supports_update = False
    supports_multiple_captures = False


class PrintsItsOptions(SimulatorProvider):
    def __repr__(self) -> str:
        return f"Provider(api_key={self.options.api_key})"


class IgnoresTheIdempotencyKey(SimulatorProvider):
    def capture(self, request: providers.CaptureRequest) -> providers.CaptureResult:
        return super().capture(replace(request, idempotency_key=uuid.uuid4().hex))


class MakesItsOwnRefundKeys(SimulatorProvider):
    def refund(self, request: providers.RefundRequest) -> providers.RefundResult:
        return super().refund(replace(request, idempotency_key=uuid.uuid4().hex))


class ForgetsTheReference(SimulatorProvider):
    def capture(self, request: providers.CaptureRequest) -> providers.CaptureResult:
        return super().capture(replace(request, operation_id="order"))


class RoundsAmounts(SimulatorProvider):
    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        result = super().authorize(request)
        amount = None if result.amount is None else result.amount.quantize(Decimal(1), ROUND_HALF_UP)
        return replace(result, amount=amount)


class CountsInHundredths(SimulatorProvider):
    def initiate(self, request: providers.InitiateRequest) -> providers.InitiateResult:
        is_yen = request.currency_code == "jpy"
        return super().initiate(replace(request, amount=request.amount * 100) if is_yen else request)


class NamesASmallerStepThanItTakes(SimulatorProvider):
    def initiate(self, request: providers.InitiateRequest) -> providers.InitiateResult:
        if request.amount % Decimal("0.01"):
            raise DeclinedError("The last decimal has to be 0.", code="last_digit_not_zero")
        return super().initiate(request)


class CapturesMoreThanAuthorized(SimulatorProvider):
    def capture(self, request: providers.CaptureRequest) -> providers.CaptureResult:
        try:
            return super().capture(request)
        except DeclinedError as error:
            if error.code != "amount_too_large":
                raise
            return providers.CaptureResult(
                outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
            )


class AnswersWithTheWrongClass(SimulatorProvider):
    def refund(self, request: providers.RefundRequest) -> Any:
        result = super().refund(request)
        return providers.CaptureResult(
            outcome=result.outcome, amount=result.amount, currency_code=result.currency_code
        )


class CallsATimeoutARefusal(SimulatorProvider):
    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        try:
            return super().authorize(request)
        except OSError as error:
            raise DeclinedError("The service is busy.", code="timeout") from error


class CallsEveryErrorARefusal(SimulatorProvider):
    def capture(self, request: providers.CaptureRequest) -> providers.CaptureResult:
        try:
            return super().capture(request)
        except Exception as error:
            raise DeclinedError("It went wrong.", code="error") from error

    def refund(self, request: providers.RefundRequest) -> providers.RefundResult:
        try:
            return super().refund(request)
        except Exception as error:
            raise DeclinedError("It went wrong.", code="error") from error


class WaitsForEver(SimulatorProvider):
    def cancel(self, request: providers.CancelRequest) -> providers.CancelResult:
        patient = SimulatorProvider(alias=self.alias, options=replace(self.options, timeout=1.5))
        return patient.cancel(request)


class DeclinesWithoutACode(SimulatorProvider):
    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        try:
            return super().authorize(request)
        except DeclinedError:
            return providers.AuthorizeResult(outcome=Outcome.DECLINED)


class ExplainsTooMuch(SimulatorProvider):
    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        try:
            return super().authorize(request)
        except DeclinedError as error:
            raise DeclinedError(f"{error} (key {self.options.api_key})", code=error.code) from error


class ReportsTheLastMovementOnly(SimulatorProvider):
    def retrieve(self, request: providers.RetrieveRequest) -> providers.RetrieveResult:
        result = super().retrieve(request)
        if result.fact is None or not result.fact.movements:
            return result
        last = result.fact.movements[-1]
        fact = replace(result.fact, movements=(last,), captured_amount=last.amount)
        return replace(result, fact=fact)


class DoesNotKnowMeansError(SimulatorProvider):
    def retrieve(self, request: providers.RetrieveRequest) -> providers.RetrieveResult:
        result = super().retrieve(request)
        if result.fact is None:
            raise LookupError(request.session_id)
        return result


class ReleasesWhatIsCaptured(SimulatorProvider):
    def cancel(self, request: providers.CancelRequest) -> providers.CancelResult:
        try:
            return super().cancel(request)
        except DeclinedError:
            return providers.CancelResult(outcome=Outcome.SUCCEEDED)


class OpensANewSessionToUpdate(SimulatorProvider):
    def update(self, request: providers.UpdateRequest) -> providers.UpdateResult:
        values = {name: getattr(request, name) for name in request.__dataclass_fields__}
        result = super().initiate(providers.InitiateRequest(**values))
        return providers.UpdateResult(
            outcome=result.outcome,
            provider_reference=result.provider_reference,
            amount=request.amount,
            currency_code=request.currency_code,
            data=result.data,
            provider_data=result.provider_data,
        )


class ChangesItsRequest(SimulatorProvider):
    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        result = super().authorize(request)
        request.provider_data["seen"] = True  # type: ignore[index]
        return result


class BelievesUnsignedEvents(SimulatorProvider):
    def parse_webhook(self, request: providers.WebhookRequest) -> providers.WebhookResult:
        try:
            return super().parse_webhook(request)
        except WebhookVerificationError:
            return providers.WebhookResult(event_id="evt", event_type="any")


class BelievesOldEvents(SimulatorProvider):
    def parse_webhook(self, request: providers.WebhookRequest) -> providers.WebhookResult:
        lenient = replace(self.options, webhook_tolerance=10**9)
        return SimulatorProvider(alias=self.alias, options=lenient).parse_webhook(request)


class ChokesOnBytes(SimulatorProvider):
    def parse_webhook(self, request: providers.WebhookRequest) -> providers.WebhookResult:
        request.body.decode()
        return super().parse_webhook(request)


class NamesTheRefundInsteadOfItsCapture(SimulatorProvider):
    def parse_webhook(self, request: providers.WebhookRequest) -> providers.WebhookResult:
        result = super().parse_webhook(request)
        if "refund" not in result.event_type:
            return result
        return replace(result, session_id=None, provider_reference=None, capture_reference="re_1")


class MakesAnAccountEachTime(SimulatorProvider):
    def create_account(self, request: CreateAccountRequest) -> CreateAccountResult:
        return super().create_account(
            replace(request, idempotency_key=uuid.uuid4().hex, account_holder_id=uuid.uuid4().hex)
        )


class ShowsTheWholeNumber(SimulatorProvider):
    def list_methods(self, request: AccountRequest) -> ListMethodsResult:
        result = super().list_methods(request)
        shown = tuple(replace(method, last4="4242" * 4) for method in result.methods)
        return replace(result, methods=shown)


class OnlySaysThatItRemoved(SimulatorProvider):
    def remove_method(self, request: RemoveMethodRequest) -> RemoveMethodResult:
        return RemoveMethodResult(outcome=Outcome.SUCCEEDED)


class PaysForWhoeverKnowsTheId(SimulatorProvider):
    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        return super().authorize(replace(request, refuses_saved=False))


class AsksNobodyBack(SimulatorProvider):
    def authorize(self, request: providers.AuthorizeRequest) -> providers.AuthorizeResult:
        result = super().authorize(request)
        is_asked = result.next_action is not None and result.next_action.type == "challenge"
        return replace(result, next_action=None, outcome=Outcome.UNKNOWN) if is_asked else result


# These keep the rules in ways of their own.


class SaysThatAllIsCaptured(SimulatorProvider):
    def cancel(self, request: providers.CancelRequest) -> providers.CancelResult:
        try:
            return super().cancel(request)
        except DeclinedError as error:
            if error.code != "already_captured":
                raise
            return providers.CancelResult(outcome=Outcome.SUCCEEDED, fact=self._known(request))

    def _known(self, request: providers.CancelRequest) -> providers.SessionFact | None:
        names = ("session_id", "amount", "currency_code", "provider_reference", "provider_data")
        return self.retrieve(
            providers.RetrieveRequest(**{name: getattr(request, name) for name in names})
        ).fact


class ReadsCapitalDigits(SimulatorProvider):
    def parse_webhook(self, request: providers.WebhookRequest) -> providers.WebhookResult:
        headers = {name: value.lower() for name, value in request.headers.items()}
        return super().parse_webhook(replace(request, headers=headers))


class FindsNothingInAnEmptyList(SimulatorProvider):
    def retrieve(self, request: providers.RetrieveRequest) -> providers.RetrieveResult:
        try:
            return super().retrieve(request)
        except SimulatorError as error:
            if "no object" not in str(error):
                raise
            return providers.RetrieveResult(outcome=Outcome.SUCCEEDED)
