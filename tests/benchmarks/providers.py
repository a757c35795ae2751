"""A provider for benchmarks, which needs no database to be imported."""

from __future__ import annotations

from payments.providers.account_holders import (
    AccountHolderProvider,
    AccountRequest,
    AddMethodRequest,
    AddMethodResult,
    CreateAccountRequest,
    CreateAccountResult,
    ListMethodsResult,
    RemoveMethodRequest,
    RemoveMethodResult,
    SavedPaymentMethod,
)
from payments.providers.system import SystemProvider
from payments.states import Outcome


class CardProvider(AccountHolderProvider, SystemProvider):
    """A provider that agrees to everything at once; each customer has saved one card."""

    def create_account(self, request: CreateAccountRequest) -> CreateAccountResult:
        """Return an account of the customer."""
        reference = f"account_{request.customer_id}"
        return CreateAccountResult(outcome=Outcome.SUCCEEDED, provider_reference=reference)

    def list_methods(self, request: AccountRequest) -> ListMethodsResult:
        """Return the card."""
        return ListMethodsResult(
            outcome=Outcome.SUCCEEDED, methods=(SavedPaymentMethod(id="card", type="card"),)
        )

    def add_method(self, request: AddMethodRequest) -> AddMethodResult:
        """Refuse to save another one."""
        return AddMethodResult(outcome=Outcome.DECLINED)

    def remove_method(self, request: RemoveMethodRequest) -> RemoveMethodResult:
        """Refuse to forget the card."""
        return RemoveMethodResult(outcome=Outcome.DECLINED)
