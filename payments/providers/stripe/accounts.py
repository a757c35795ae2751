"""Account holders at Stripe: Customers, their saved payment methods, and the SetupIntents that save more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from payments.providers.account_holders import (
    ACCOUNT_DELETED,
    AccountHolderProvider,
    AccountRequest,
    AddMethodRequest,
    AddMethodResult,
    CreateAccountRequest,
    CreateAccountResult,
    DeleteAccountResult,
    ListMethodsResult,
    RemoveMethodRequest,
    RemoveMethodResult,
    SavedPaymentMethod,
)
from payments.providers.errors import answering
from payments.providers.facts import NextAction
from payments.providers.requests import InputRequest
from payments.providers.stripe.client import ACCOUNT_KEY, Json, StripeApi
from payments.providers.stripe.errors import RefusedError, request_failure
from payments.providers.stripe.options import StripeOptions
from payments.states import Outcome

if TYPE_CHECKING:
    from stripe import params as p


_NOT_THEIRS: Final = {
    "code": "resource_missing",
    "param": "payment_method",
    "message": "A customer has saved this payment method, and somebody else asks for it.",
}


class StripeAccounts(AccountHolderProvider):
    """Customers at Stripe, with their saved payment methods."""

    options: StripeOptions
    customer_key: ClassVar[str] = "payment_customer"

    @property
    def _api(self) -> StripeApi:
        return StripeApi(self.options)

    @answering(CreateAccountResult)
    def create_account(self, request: CreateAccountRequest) -> CreateAccountResult:
        """Make a Customer; where one may have been made before, look for it first."""
        customer = self._api.find_customer(request.account_holder_id) if request.is_retry else None
        if customer is None:
            params: p.CustomerCreateParams = {
                "metadata": {
                    ACCOUNT_KEY: request.account_holder_id,
                    self.customer_key: request.customer_id,
                }
            }
            if request.email:
                params["email"] = request.email
            customer = self._api.create_customer(params, key=request.idempotency_key)
        return CreateAccountResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=customer["id"],
            provider_data={"customer": customer["id"]},
        )

    @answering(ListMethodsResult)
    def list_methods(self, request: AccountRequest) -> ListMethodsResult:
        """List what a Customer has saved."""
        try:
            rows = self._api.payment_methods(request.account_reference)
        except RefusedError as error:
            raise self._explained(error, request) from error
        return ListMethodsResult(
            outcome=Outcome.SUCCEEDED, methods=tuple(_saved_method(row) for row in reversed(rows))
        )

    @answering(AddMethodResult)
    def add_method(self, request: AddMethodRequest) -> AddMethodResult:
        """Make a SetupIntent, which Stripe's script confirms in the browser."""
        params: p.SetupIntentCreateParams = {
            "customer": request.account_reference,
            "usage": "off_session",
            "metadata": {ACCOUNT_KEY: request.account_holder_id},
        }
        if self.options.payment_method_types:
            params["allowed_payment_method_types"] = list(self.options.payment_method_types)
        else:
            redirects = "always" if request.return_url else "never"
            params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": redirects}
        try:
            setup = self._api.create_setup_intent(params, key=request.idempotency_key)
        except RefusedError as error:
            raise self._explained(error, request) from error
        return AddMethodResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=setup["id"],
            data={
                "intent_id": setup["id"],
                "client_secret": setup["client_secret"],
                "publishable_key": self.options.publishable_key,
                "status": setup["status"],
            },
            next_action=NextAction(type="provider_script"),
        )

    @answering(RemoveMethodResult)
    def remove_method(self, request: RemoveMethodRequest) -> RemoveMethodResult:
        """Detach a payment method from its Customer; the services have seen that it is theirs."""
        method = self._api.detach_payment_method(request.method_id, key=request.idempotency_key)
        return RemoveMethodResult(outcome=Outcome.SUCCEEDED, provider_reference=method["id"])

    @answering(DeleteAccountResult)
    def delete_account(self, request: AccountRequest) -> DeleteAccountResult:
        """Delete a Customer, with what they have saved; their payments stay with Stripe."""
        try:
            self._api.delete_customer(request.account_reference)
        except RefusedError as error:
            if not (error.is_missing and self._api.is_deleted(request.account_reference)):
                raise
        return DeleteAccountResult(outcome=Outcome.SUCCEEDED, provider_reference=request.account_reference)

    def _is_saved(self, sent: Mapping[str, Any]) -> bool:
        """Return whether a customer has saved what a payer chose; raise RefusedError where it isn't there."""
        if sent.get("confirmation_token"):
            token = self._api.confirmation_token(str(sent["confirmation_token"]))
            return (token.get("payment_method_preview") or {}).get("customer") is not None
        if sent.get("payment_method"):
            return self._api.payment_method(str(sent["payment_method"])).get("customer") is not None
        return False

    def _check_saved(self, request: InputRequest) -> None:
        """Raise RefusedError, as for a method that isn't there, where the payer chose one that another has saved."""
        if request.refuses_saved and self._is_saved(request.input):
            raise RefusedError(request_failure(_NOT_THEIRS), is_missing=True)

    def _explained(self, error: RefusedError, request: AccountRequest) -> RefusedError:
        """Return a refusal; where it was made because the Customer was deleted, one that says so."""
        if not (error.is_missing and self._api.is_deleted(request.account_reference)):
            return error
        return RefusedError(replace(error.failure, code=ACCOUNT_DELETED))


def _saved_method(method: Json) -> SavedPaymentMethod:
    """Describe a payment method by what every kind of it has in common: a brand or bank, and last digits."""
    details = method.get(method["type"]) or {}
    month, year = details.get("exp_month"), details.get("exp_year")
    return SavedPaymentMethod(
        id=method["id"],
        type=method["type"],
        brand=str(details.get("brand") or details.get("bank_name") or ""),
        last4=str(details.get("last4") or ""),
        expires=f"{year}-{month:02}" if month and year else "",
    )
