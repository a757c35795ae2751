"""A provider for benchmarks, which needs no database to be imported."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Final

from payments.exceptions import WebhookVerificationError
from payments.providers import RetrieveRequest, RetrieveResult, SessionFact, WebhookRequest, WebhookResult
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
from payments.states import Outcome, SessionStatus

SECRET: Final = b"of the benchmarks"


def signature_of(body: bytes) -> str:
    """Return the header `signature` of an event."""
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


class CardProvider(AccountHolderProvider, SystemProvider):
    """A provider that agrees to everything at once; each customer has saved one card.

    An event of its names a session, and may tell the amount that is authorized; it knows of every session that the
    whole amount is.
    """

    supports_retrieve = True
    supports_webhooks = True

    def retrieve(self, request: RetrieveRequest) -> RetrieveResult:
        """Tell that everything is authorized."""
        return RetrieveResult(outcome=Outcome.SUCCEEDED, fact=_authorized(request.amount))

    def parse_webhook(self, request: WebhookRequest) -> WebhookResult:
        """Verify the signature, and read the event."""
        if not hmac.compare_digest(request.headers.get("signature", ""), signature_of(request.body)):
            raise WebhookVerificationError("The signature is wrong.")
        event = json.loads(request.body)
        return WebhookResult(
            event_id=event["id"],
            event_type="authorized",
            session_id=event["session"],
            fact=_authorized(Decimal(event["amount"])) if "amount" in event else None,
            payload=event,
        )

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


def _authorized(amount: Decimal) -> SessionFact:
    return SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=amount)
