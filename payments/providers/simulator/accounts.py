"""Account holders at the simulator: its customers, their saved cards, and its page where they save more."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from payments.exceptions import DeclinedError
from payments.providers.account_holders import (
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
from payments.providers.facts import NextAction
from payments.providers.simulator.client import Json, SimulatorClient, SimulatorOptions
from payments.states import Outcome


class SimulatorAccounts(AccountHolderProvider):
    """Customers at the simulator, with their saved cards."""

    options: SimulatorOptions

    @property
    def _client(self) -> SimulatorClient:
        return SimulatorClient(self.options)

    def create_account(self, request: CreateAccountRequest) -> CreateAccountResult:
        """Make a customer; where one may have been made before, look for it first."""
        customer = self._find_customer(request.account_holder_id) if request.is_retry else None
        if customer is None:
            body = {"reference": request.account_holder_id, "email": request.email}
            customer = self._client.post("/v1/customers", body, idempotency_key=request.idempotency_key)
        return CreateAccountResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=customer["id"],
            provider_data={"customer": customer["id"]},
        )

    def list_methods(self, request: AccountRequest) -> ListMethodsResult:
        """List what a customer has saved."""
        rows = self._client.get(_path(request, "/methods"))["data"]
        return ListMethodsResult(
            outcome=Outcome.SUCCEEDED, methods=tuple(_saved_method(row) for row in reversed(rows))
        )

    def add_method(self, request: AddMethodRequest) -> AddMethodResult:
        """Have the browser sent to the simulator's page, where the customer chooses a card."""
        setup = self._client.post(
            _path(request, "/setups"),
            {"return_url": request.return_url},
            idempotency_key=request.idempotency_key,
        )
        return AddMethodResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=setup["id"],
            data={"client_token": setup["client_token"], "status": setup["status"]},
            next_action=NextAction(type="redirect", url=setup["next_action"]["url"]),
        )

    def remove_method(self, request: RemoveMethodRequest) -> RemoveMethodResult:
        """Have a card forgotten."""
        path = _path(request, f"/methods/{quote(request.method_id, safe='')}/remove")
        row = self._client.post(path, {}, idempotency_key=request.idempotency_key)
        return RemoveMethodResult(outcome=Outcome.SUCCEEDED, provider_reference=row["id"])

    def delete_account(self, request: AccountRequest) -> DeleteAccountResult:
        """Delete a customer, with the cards that they have saved."""
        key = f"{request.account_reference}-delete"
        try:
            self._client.post(_path(request, "/delete"), {}, idempotency_key=key)
        except DeclinedError as error:
            if error.code != "customer_not_found":
                raise
        return DeleteAccountResult(outcome=Outcome.SUCCEEDED, provider_reference=request.account_reference)

    def _find_customer(self, account_holder_id: str) -> Json | None:
        query = urlencode({"reference": account_holder_id})
        found: list[Any] = self._client.get(f"/v1/customers?{query}")["data"]
        return found[0] if found else None


def _path(request: AccountRequest, suffix: str) -> str:
    return f"/v1/customers/{quote(request.account_reference, safe='')}{suffix}"


def _saved_method(row: Json) -> SavedPaymentMethod:
    return SavedPaymentMethod(
        id=row["id"], type="card", brand=row["brand"], last4=row["last4"], expires=row["expires"]
    )
