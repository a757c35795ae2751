"""The call: builds the request of an operation and sends it, with no transaction open and no lock held.

An operation that is sent again gives the same request under the same idempotency key.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from django.db.models import DurationField, ExpressionWrapper, F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import NotFoundError, NotSupportedError, ProviderUnavailableError
from payments.models import Payment, PaymentOperation, PaymentSession
from payments.providers import (
    AuthorizeRequest,
    AuthorizeResult,
    BaseProvider,
    CancelRequest,
    CancelResult,
    CaptureRequest,
    CaptureResult,
    InitiateRequest,
    InitiateResult,
    PaymentContext,
    ProviderResult,
    RefundRequest,
    RefundResult,
    RetrieveRequest,
    RetrieveResult,
    UpdateRequest,
    UpdateResult,
    call_provider,
    get_provider,
)
from payments.providers.registry import check_money
from payments.services.ledger.statements import DatabaseNow
from payments.states import OperationKind

KEY_MARGIN: Final = timedelta(minutes=10)
"""How long before its end a key's window counts as over, since our clock and the provider's may differ."""


def provider_for(row: PaymentSession | Payment | PaymentOperation) -> BaseProvider[Any]:
    """Return the provider that a session, a payment or an operation is tied to.

    Raises ProviderUnavailableError (`provider_not_configured`) if its alias isn't in the settings. The row stays
    readable, and works again as soon as the alias is back.
    """
    try:
        return get_provider(row.provider_id)
    except NotFoundError as error:
        raise ProviderUnavailableError(
            _("The payment provider “%(alias)s” is not configured any more. Nothing was changed."),
            code="provider_not_configured",
            field="provider_id",
            params={"alias": row.provider_id},
        ) from error


def retrieve(session: PaymentSession) -> RetrieveResult:
    """Ask the provider about a stored session, and return its answer unchanged."""
    stored = PaymentSession.objects.select_related("collection")
    session = stored.get(pk=session.pk)
    provider = provider_for(session)
    if not provider.supports_retrieve:
        raise NotSupportedError(
            _("The provider “%(alias)s” can't be asked about a session."), params={"alias": provider.alias}
        )
    request = RetrieveRequest(
        session_id=session.pk,
        amount=session.amount,
        currency_code=session.currency_code,
        provider_reference=session.provider_reference,
        provider_data=session.provider_data,
    )
    return call_provider(provider.retrieve, request, result_class=RetrieveResult)


def is_protected_by_key(provider: BaseProvider[Any], operation: PaymentOperation) -> bool:
    """Return whether the provider still knows an operation's key, so that sending it again moves nothing twice."""
    window = provider.key_window(OperationKind(operation.kind))
    return window is None or _age_of(operation) < window - KEY_MARGIN


def _age_of(operation: PaymentOperation) -> timedelta:
    """Return how long ago an operation was first sent: the longer of two ages, by the database's clock and by ours."""
    by_database = ExpressionWrapper(DatabaseNow() - F("sent_at"), output_field=DurationField())
    age = (
        PaymentOperation.objects.filter(pk=operation.pk)
        .annotate(age=by_database)
        .values_list("age", flat=True)
        .get()
    )
    ours = timezone.now() - operation.created_at
    return ours if age is None else max(age, ours)


def call_for(operation: PaymentOperation) -> ProviderResult:
    """Send an operation's request to its provider, and return the answer.

    Raises NotFoundError if the provider is no longer configured, InputError (`pretend_money`) if it may no longer
    authorize, and OpenTransactionError.
    """
    return _CALLS[OperationKind(operation.kind)](get_provider(operation.provider_id), operation)


def _common(operation: PaymentOperation) -> dict[str, Any]:
    return {
        "operation_id": operation.pk,
        "idempotency_key": operation.pk,
        "collection_id": operation.collection_id,
        "session_id": operation.session_id,
        "amount": operation.amount,
        "currency_code": operation.currency_code,
        **_kept(operation),
    }


def _kept(operation: PaymentOperation) -> dict[str, Any]:
    """Return the provider's private data as they were when the operation was claimed."""
    holder = operation.payment or operation.session
    if operation.sent is None:
        return {
            "provider_reference": holder.provider_reference,
            "data": operation.session.data,
            "provider_data": holder.provider_data,
        }
    return {
        "provider_reference": operation.sent.get("provider_reference"),
        "data": operation.sent.get("data", {}),
        "provider_data": operation.sent.get("provider_data", {}),
    }


def _sent(operation: PaymentOperation) -> dict[str, Any]:
    return {"input": operation.input, "refuses_saved": operation.refuses_saved}


def _initiate(provider: BaseProvider[Any], operation: PaymentOperation) -> ProviderResult:
    context = PaymentContext(**operation.session.context)
    request = InitiateRequest(**_common(operation), **_sent(operation), context=context)
    return call_provider(provider.initiate, request, result_class=InitiateResult)


def _update(provider: BaseProvider[Any], operation: PaymentOperation) -> ProviderResult:
    request = UpdateRequest(**_common(operation), **_sent(operation))
    return call_provider(provider.update, request, result_class=UpdateResult)


def _authorize(provider: BaseProvider[Any], operation: PaymentOperation) -> ProviderResult:
    check_money(provider)  # Pretend money may have been allowed when the operation was claimed.
    request = AuthorizeRequest(**_common(operation), **_sent(operation), saved_method=operation.saved_method)
    return call_provider(provider.authorize, request, result_class=AuthorizeResult)


def _capture(provider: BaseProvider[Any], operation: PaymentOperation) -> ProviderResult:
    payment, capture = operation.payment, operation.capture
    if payment is None or capture is None:
        raise TypeError("A capture's operation names its payment and capture.")
    request = CaptureRequest(
        **_common(operation),
        payment_id=payment.pk,
        capture_id=capture.pk,
        is_final=operation.is_final,
    )
    return call_provider(provider.capture, request, result_class=CaptureResult)


def _refund(provider: BaseProvider[Any], operation: PaymentOperation) -> ProviderResult:
    payment, refund = operation.payment, operation.refund
    if payment is None or refund is None:
        raise TypeError("A refund's operation names its payment and refund.")
    request = RefundRequest(
        **_common(operation),
        payment_id=payment.pk,
        refund_id=refund.pk,
        reason=(operation.sent or {}).get("reason"),
    )
    return call_provider(provider.refund, request, result_class=RefundResult)


def _cancel(provider: BaseProvider[Any], operation: PaymentOperation) -> ProviderResult:
    request = CancelRequest(**_common(operation), payment_id=operation.payment_id)
    return call_provider(provider.cancel, request, result_class=CancelResult)


_CALLS: Final[dict[OperationKind, Callable[[BaseProvider[Any], PaymentOperation], ProviderResult]]] = {
    OperationKind.INITIATE: _initiate,
    OperationKind.UPDATE: _update,
    OperationKind.AUTHORIZE: _authorize,
    OperationKind.CAPTURE: _capture,
    OperationKind.REFUND: _refund,
    OperationKind.CANCEL: _cancel,
}
