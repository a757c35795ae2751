"""What a shop writes on top of the package: each type is named, and each mistake is one that mypy has to find."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, assert_type

from payments.exceptions import OutcomeUnknownError, PaymentError
from payments.models import Capture, Payment, PaymentCollection, PaymentOperation, PaymentSession, Refund
from payments.providers.base import BaseProvider, NoOptions
from payments.providers.requests import CaptureRequest
from payments.providers.results import CaptureResult
from payments.providers.system import SystemProvider
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_payment_collection,
    create_payment_session,
)
from payments.signals import payment_captured
from payments.states import (
    CollectionStatus,
    MovementStatus,
    OperationStatus,
    Outcome,
    PaymentStatus,
    SessionStatus,
)


def pay(amount: Decimal) -> Payment | None:
    """Take money as a shop does."""
    collection = create_payment_collection(amount=amount, currency_code="eur")
    assert_type(collection, PaymentCollection)
    assert_type(collection.status, CollectionStatus)
    assert_type(collection.amount, Decimal)
    session = create_payment_session(collection, provider_id="system")
    assert_type(session, PaymentSession)
    assert_type(authorize_payment_session(session), PaymentSession)
    if session.payment is None:
        return None
    return assert_type(capture_payment(session.payment, amount=amount), Payment)


def name_statuses(
    session: PaymentSession, payment: Payment, capture: Capture, refund: Refund, operation: PaymentOperation
) -> list[str]:
    """Read statuses, each of which is a member of its closed list."""
    assert_type(session.status, SessionStatus)
    assert_type(payment.status, PaymentStatus)
    assert_type(capture.status, MovementStatus)
    assert_type(refund.status, MovementStatus)
    assert_type(operation.status, OperationStatus)
    rows = (session, payment, capture, refund, operation)
    return [str(row.status.label) for row in rows]


def call_transitions(session: PaymentSession, payment: Payment, capture: Capture) -> None:
    """Call transitions, whose arguments are checked; an ignored error that isn't one fails the check."""
    assert_type(session.authorize(), None)
    assert_type(session.fail(code="declined", message="Choose another way to pay."), None)
    assert_type(payment.capture(), None)
    session.fail()  # type: ignore[call-arg]
    session.authorize("at once")  # type: ignore[call-arg]
    capture.fail(code=1, message="")  # type: ignore[arg-type]
    payment.status.lable  # type: ignore[attr-defined]  # noqa: B018


def read_error(error: PaymentError) -> tuple[str, bool]:
    """Read what a shop decides on."""
    if isinstance(error, OutcomeUnknownError):
        assert_type(error.operation_id, str | None)
    return assert_type(error.code, str), assert_type(error.retryable, bool)


def tell(sender: type[Any], **values: Any) -> None:
    """Receive a signal."""


class VoucherProvider(SystemProvider):
    """A provider whose captures say what they were."""

    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Take what was asked for."""
        assert_type(request.amount, Decimal)
        assert_type(request.provider_data, Mapping[str, Any])
        assert_type(self.options, NoOptions)
        return CaptureResult(
            outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
        )


provider: type[BaseProvider[NoOptions]] = VoucherProvider
payment_captured.connect(tell, dispatch_uid="consumer")
