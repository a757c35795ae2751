"""The provider for money that the merchant handles: cash, a bank transfer, an invoice.

It talks to nobody. A session is authorized at once; operators capture when the money is there, and refund by hand.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from payments.providers.base import BaseProvider, NoOptions
from payments.providers.requests import (
    AuthorizeRequest,
    CancelRequest,
    CaptureRequest,
    InitiateRequest,
    RefundRequest,
    UpdateRequest,
)
from payments.providers.results import (
    AuthorizeResult,
    CancelResult,
    CaptureResult,
    InitiateResult,
    RefundResult,
    UpdateResult,
)
from payments.states import Outcome


class SystemProvider(BaseProvider[NoOptions]):
    """A provider that agrees to everything, because the merchant sees to the money."""

    verbose_name = _("Handled by the merchant")
    moves_real_money = True
    idempotency_window = None
    is_for_payers = False  # who chooses it pays with nothing but a promise
    supports_retrieve = False

    def initiate(self, request: InitiateRequest) -> InitiateResult:
        """Open a session; there is nothing to publish."""
        return InitiateResult(outcome=Outcome.SUCCEEDED, data={}, provider_data={})

    def update(self, request: UpdateRequest) -> UpdateResult:
        """Accept the new amount."""
        return UpdateResult(
            outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
        )

    def authorize(self, request: AuthorizeRequest) -> AuthorizeResult:
        """Authorize the whole amount at once."""
        return AuthorizeResult(
            outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
        )

    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Note that the merchant has the money."""
        return CaptureResult(
            outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
        )

    def refund(self, request: RefundRequest) -> RefundResult:
        """Note that the merchant gave the money back."""
        return RefundResult(
            outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
        )

    def cancel(self, request: CancelRequest) -> CancelResult:
        """Note that the money isn't expected any more."""
        return CancelResult(outcome=Outcome.SUCCEEDED)
