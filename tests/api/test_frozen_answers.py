"""Every answer has these keys and no others: what is published is published on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from payments import services
from payments.exceptions import OutcomeUnknownError
from payments.models import Payment
from payments.providers import AuthorizeResult, CaptureResult, Failure, NextAction, RefundResult
from payments.states import Outcome
from payments.testing import Script
from payments.testing.factories import PaymentOperationFactory
from tests.api.client import Visitor
from tests.api.routes import ROUTES, filled, keys_of
from tests.shop.models import Order

pytestmark = pytest.mark.django_db

OPEN: Final = frozenset(
    {"data", "metadata", "provider_data", "context", "input", "exchange", "payload", "fact"}
)
"""What holds whatever a shop, a payer or a provider has put there; other tests are about these."""

FAILURE: Final = "code message"
ACTION: Final = "type url"
PLAIN_LIST: Final = "results"

STOREFRONT: Final = {
    "list": PLAIN_LIST,
    "provider": "id name supports_saved_payment_methods",
    "saved method": "brand expires id last4 type",
    "setup of one": "data next_action",
    "collection": "accepts_saved_payment_methods amount authorized_amount canceled_at captured_amount completed_at "
    "created_at currency_code id payment_sessions refunded_amount status",
    "opened collection": "accepts_saved_payment_methods amount authorized_amount canceled_at captured_amount "
    "client_secret completed_at created_at currency_code id payment_sessions refunded_amount status",
    "session": "accepts_saved_payment_methods amount authorized_amount authorized_at created_at currency_code data "
    "due_at error expires_at id in_progress next_action payment_collection_id provider_id status",
    "failure": FAILURE,
    "action": ACTION,
}
STAFF: Final = {
    "list": PLAIN_LIST,
    "page": "next previous results",
    "collection": "amount authorized_amount canceled_at captured_amount charged_back_amount completed_at created_at "
    "currency_code customer_id description id metadata payable payment_sessions payments refunded_amount "
    "status updated_at",
    "payable": "id type",
    "session": "amount authorized_amount authorized_at canceled_at context created_at currency_code data due_at error "
    "expires_at id in_progress initiated_at installment is_automatic is_split metadata next_action "
    "payment_collection_id payment_id provider_data provider_id provider_reference status updated_at",
    "payment": "amount canceled_amount canceled_at capturable_amount captured_amount captured_at captures "
    "charged_back_amount created_at currency_code expires_at id metadata payment_collection_id payment_session_id "
    "provider_data provider_id provider_reference refundable_amount refunded_amount refunds reinstated_amount status "
    "unclear updated_at",
    "capture": "amount created_at error id metadata note provider_reference received_at reference status succeeded_at",
    "unclear": "amount created_at kind next_attempt_at operation_id status",
    "refund": "amount created_at error id metadata note provider_reference refund_reason status succeeded_at",
    "reason of a refund": "id label",
    "reason": "created_at description id label metadata updated_at",
    "provider": "created_at id is_configured is_enabled name updated_at",
    "operation": "actor_id amount attempts capture_id created_at currency_code detail error exchange finished_at id "
    "input kind next_attempt_at payment_collection_id payment_id payment_session_id provider_id refund_id "
    "requested_from resolution status updated_at",
    "resolution": "evidence reason resolved_by_id",
    "event": "applied_at attempts created_at detail event_id fact id next_attempt_at occurred_at payload "
    "payment_session_id provider_id provider_reference status type updated_at",
    "failure": FAILURE,
    "action": ACTION,
}
MONITORING: Final = {
    "health": "figures status",
    "figures": "attention_count failed_event_count inbox_lag_seconds oldest_unresolved_operation_seconds "
    "outbox_lag_seconds",
    "ages by provider": "scripted simulator system",
}
FROZEN: Final = {"storefront": STOREFRONT, "staff": STAFF, "health": MONITORING, "metrics": {}}


def objects(value: Any) -> Iterator[str]:
    """Yield the keys of every object in an answer."""
    if isinstance(value, dict):
        yield " ".join(sorted(value))
        for name, inner in value.items():
            if name not in OPEN:
                yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


@pytest.fixture
def keys(owner: Visitor, payment: Payment, script: Script) -> dict[str, str]:
    """Return the ids of rows that between them have something in every field."""
    Order.objects.update(total="200.00")
    collection = services.update_payment_collection(payment.collection, amount="200.00")
    services.refund_payment(services.capture_payment(payment, amount="60.00"), amount="10.00")
    script.next("refund", RefundResult(outcome=Outcome.UNKNOWN))
    with pytest.raises(OutcomeUnknownError):
        services.refund_payment(payment, amount="1.00")
    action = NextAction(type="redirect", url="https://bank.example/")
    waiting = AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=action)
    declined = AuthorizeResult(outcome=Outcome.DECLINED, failure=Failure(code="declined", message="No."))
    script.next("authorize", waiting, declined)
    for _answer in (waiting, declined):
        session = services.create_payment_session(collection, provider_id="scripted", amount="5.00")
        services.authorize_payment_session(session)
    unsure = services.create_payment_session(collection, provider_id="scripted", amount="5.00")
    operation = PaymentOperationFactory.create(session=unsure, attention=True)
    return keys_of(payment) | {"operation": operation.pk}


def test_every_answer_has_these_keys_and_no_others(owner: Visitor, keys: dict[str, str]) -> None:
    seen: dict[str, set[str]] = {face: set() for face in FROZEN}
    for route in ROUTES:
        answer = owner.send(route.method, filled(route.path, keys), filled(route.body, keys))
        face = route.path.partition("/")[0]
        if answer.status >= 400:
            continue  # one shape for all of them, which Answer.error knows
        found = set(objects(answer.body))
        assert found <= set(FROZEN[face].values()), route
        seen[face] |= found

    assert seen == {face: set(shapes.values()) for face, shapes in FROZEN.items()}


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.PENDING])
def test_what_is_not_known_yet_has_one_key_more(
    owner: Visitor, payment: Payment, script: Script, outcome: Outcome
) -> None:
    script.next("capture", CaptureResult(outcome=outcome))

    accepted = owner.post(f"staff/payments/{payment.pk}/capture/", {"amount": "1.00"})

    assert accepted.status == 202
    assert set(accepted.body) == {*STAFF["payment"].split(), "operation_id"}
