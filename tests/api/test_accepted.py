"""202: what isn't known to have happened yet, with the address that tells later, and never 200 in its place."""

from __future__ import annotations

from contextvars import Context
from decimal import Decimal
from typing import Any

import pytest

from payments import providers, services
from payments.exceptions import OutcomeUnknownError
from payments.models import Capture, IdempotencyRecord, Payment, PaymentCollection, PaymentOperation
from payments.services.idempotency import LIFETIME, LOCK
from payments.services.ledger.history import Origin
from payments.services.ledger.operations import Checkpoint, watching
from payments.services.ledger.records import record_result
from payments.states import OperationKind, Outcome, SessionStatus
from payments.testing import Script
from payments.testing.scripted import Verb
from tests.api.client import ROOT, Answer, Visitor
from tests.reliability.clocks import TestClock
from tests.reliability.crashes import ProcessDied

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

OPEN = [Outcome.PENDING, Outcome.UNKNOWN]
STAFF = "staff/payment-collections/"
ROOM: dict[str, Any] = {"update": providers.UpdateResult, "cancel": providers.CancelResult}
"""How a session gives way to money that was received."""


def followed(visitor: Visitor, accepted: Answer) -> Any:
    """Look where a 202 says, and return what is there."""
    assert (accepted.status, accepted.headers["Retry-After"]) == (202, "2")
    found = visitor.get(accepted.headers["Location"].removeprefix(f"{ROOT}/"))
    assert found.status == 200
    return found.body


def learn_that_room_was_made(verb: str) -> None:
    """Record that the one open operation has made a session smaller, or canceled it."""
    operation = PaymentOperation.objects.open().get()
    values = {"amount": operation.amount, "currency_code": "eur"} if verb == "update" else {}
    record_result(operation, ROOM[verb](outcome=Outcome.SUCCEEDED, **values))


@pytest.mark.parametrize("outcome", OPEN)
def test_a_new_session_is_accepted_with_its_address(
    guest: Visitor, collection: PaymentCollection, script: Script, outcome: Outcome
) -> None:
    script.next("initiate", providers.InitiateResult(outcome=outcome))
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"

    accepted = guest.post(path, {"provider_id": "scripted"})

    assert followed(guest, accepted) == accepted.body


@pytest.mark.parametrize("outcome", OPEN)
@pytest.mark.parametrize("verb", ["authorize", "cancel", "update"])
def test_what_a_payer_asks_of_a_session_is_accepted_with_its_address(
    guest: Visitor, collection: PaymentCollection, script: Script, verb: Any, outcome: Outcome
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted", by_payer=True)
    result = {
        "authorize": providers.AuthorizeResult,
        "cancel": providers.CancelResult,
        "update": providers.UpdateResult,
    }[verb]
    script.next(verb, result(outcome=outcome))
    path = f"storefront/payment-sessions/{session.pk}/"

    accepted = guest.patch(path, {"amount": "30.00"}) if verb == "update" else guest.post(f"{path}{verb}/")

    assert followed(guest, accepted) == accepted.body


def test_an_operator_is_sent_to_the_operation(boss: Visitor, payment: Payment, script: Script) -> None:
    script.next("capture", providers.CaptureResult(outcome=Outcome.UNKNOWN))

    accepted = boss.post(f"staff/payments/{payment.pk}/capture/")

    operation = followed(boss, accepted)
    assert (operation["id"], operation["status"]) == (accepted.body["operation_id"], "unknown")


@pytest.mark.parametrize("outcome", OPEN)
def test_canceling_a_collection_is_accepted_until_the_provider_has_answered(
    boss: Visitor, payment: Payment, script: Script, outcome: Outcome
) -> None:
    script.next("cancel", providers.CancelResult(outcome=outcome))

    accepted = boss.post(f"{STAFF}{payment.collection_id}/cancel/")

    operation = followed(boss, accepted)
    assert (operation["kind"], operation["status"]) == ("cancel", outcome)
    assert accepted.body["operation_id"] == operation["id"]


@pytest.mark.parametrize("outcome", OPEN)
def test_a_new_amount_is_accepted_until_the_provider_has_it(
    boss: Visitor, collection: PaymentCollection, script: Script, outcome: Outcome
) -> None:
    services.create_payment_session(collection, provider_id="scripted")
    script.next("update", providers.UpdateResult(outcome=outcome))

    accepted = boss.patch(f"{STAFF}{collection.pk}/", {"amount": "80.00"})

    assert followed(boss, accepted)["kind"] == "update"


@pytest.mark.parametrize("outcome", OPEN)
@pytest.mark.parametrize("is_split", [False, True])
def test_marking_as_paid_is_accepted_while_an_old_session_may_still_be_there(
    boss: Visitor, collection: PaymentCollection, script: Script, outcome: Outcome, is_split: bool
) -> None:
    amount = "30.00" if is_split else None
    services.create_payment_session(collection, provider_id="scripted", amount=amount)
    script.next("cancel", providers.CancelResult(outcome=outcome))

    accepted = boss.post(f"{STAFF}{collection.pk}/mark-as-paid/")

    assert followed(boss, accepted)["kind"] == "cancel"


@pytest.mark.parametrize("verb", ["authorize", "capture"])
def test_marking_as_paid_is_accepted_while_its_own_provider_has_not_answered(
    boss: Visitor, collection: PaymentCollection, script: Script, settings: Any, verb: Any
) -> None:
    settings.PAYMENTS = settings.PAYMENTS | {"MARK_AS_PAID_PROVIDER": "scripted"}
    result = {"authorize": providers.AuthorizeResult, "capture": providers.CaptureResult}[verb]
    script.next(verb, result(outcome=Outcome.PENDING))

    accepted = boss.post(f"{STAFF}{collection.pk}/mark-as-paid/")

    assert followed(boss, accepted)["kind"] == verb


def test_what_another_request_left_open_is_not_this_ones(
    boss: Visitor, collection: PaymentCollection, script: Script
) -> None:
    card = services.create_payment_session(collection, provider_id="scripted", amount="60.00")
    payment = services.authorize_payment_session(card).payment
    assert payment is not None
    script.next("capture", providers.CaptureResult(outcome=Outcome.PENDING))
    services.capture_payment(payment)

    assert boss.post(f"{STAFF}{collection.pk}/mark-as-paid/").status == 200


def test_a_refund_that_succeeded_does_not_name_a_later_one(
    boss: Visitor, payment: Payment, script: Script
) -> None:
    services.capture_payment(payment)

    def refund_elsewhere() -> None:
        script.next("refund", providers.RefundResult(outcome=Outcome.UNKNOWN))
        with pytest.raises(OutcomeUnknownError):
            services.refund_payment(payment, amount="30.00")

    def look(point: Checkpoint, operation: PaymentOperation) -> None:
        if point == Checkpoint.CALLED and operation.amount == Decimal(20):
            Context().run(refund_elsewhere)  # as another request, which serves in a context of its own

    with watching(look):
        answer = boss.post(f"staff/payments/{payment.pk}/refund/", {"amount": "20.00"})

    assert (answer.status, "operation_id" in answer.body, "Location" in answer.headers) == (200, False, False)
    assert [refund["status"] for refund in answer.body["refunds"]] == ["succeeded", "pending"]


@pytest.mark.parametrize("of", ["payment-sessions", "payments"])
def test_a_sync_is_done_although_an_older_report_waits_for_a_person(
    boss: Visitor, payment: Payment, script: Script, of: str
) -> None:
    reported = providers.SessionFact(
        status=SessionStatus.AUTHORIZED, currency_code="usd", authorized_amount=Decimal(100)
    )
    services.record_fact(payment.session, reported, origin=Origin())
    assert PaymentOperation.objects.get(kind="sync").status == "attention"
    script.next("retrieve", providers.RetrieveResult(outcome=Outcome.SUCCEEDED))
    target = payment.pk if of == "payments" else payment.session_id

    synced = boss.post(f"staff/{of}/{target}/sync/")

    assert (synced.status, "operation_id" in synced.body) == (200, False)


def test_authorizing_again_is_accepted_while_the_first_try_is_pending(
    guest: Visitor, boss: Visitor, collection: PaymentCollection, script: Script
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted")
    script.next("authorize", providers.AuthorizeResult(outcome=Outcome.PENDING))
    assert guest.post(f"storefront/payment-sessions/{session.pk}/authorize/").status == 202

    again = guest.post(f"storefront/payment-sessions/{session.pk}/authorize/")
    of_staff = boss.post(f"staff/payment-sessions/{session.pk}/authorize/")

    assert followed(guest, again) == again.body
    assert followed(boss, of_staff)["kind"] == "authorize"
    assert len(script.requests("authorize")) == 1


def test_a_cancelation_sent_again_tells_what_has_become_of_it(
    boss: Visitor, payment: Payment, script: Script
) -> None:
    script.next("cancel", providers.CancelResult(outcome=Outcome.UNKNOWN))
    boss.headers = {"Idempotency-Key": "once"}
    path = f"{STAFF}{payment.collection_id}/cancel/"
    assert [boss.post(path).status, boss.post(path).status] == [202, 202]

    record_result(
        PaymentOperation.objects.get(kind="cancel"), providers.CancelResult(outcome=Outcome.SUCCEEDED)
    )
    found = boss.post(path)

    assert (found.status, found.body["status"]) == (200, "canceled")
    assert found.headers["Idempotent-Replayed"] == "true"
    assert len(script.requests("cancel")) == 1


def test_marking_as_paid_sent_again_is_no_error_once_all_is_paid(
    boss: Visitor, collection: PaymentCollection, script: Script
) -> None:
    services.create_payment_session(collection, provider_id="scripted")
    script.next("cancel", providers.CancelResult(outcome=Outcome.UNKNOWN))
    boss.headers = {"Idempotency-Key": "once"}
    path = f"{STAFF}{collection.pk}/mark-as-paid/"
    assert [boss.post(path).status, boss.post(path).status] == [202, 202]

    record_result(
        PaymentOperation.objects.get(kind="cancel"), providers.CancelResult(outcome=Outcome.SUCCEEDED)
    )
    found = boss.post(path)

    assert (found.status, found.body["status"], found.body["captured_amount"]) == (200, "completed", "100.00")


def test_marking_as_paid_sent_again_goes_on_where_it_was_interrupted(
    boss: Visitor, collection: PaymentCollection, script: Script
) -> None:
    services.create_payment_session(collection, provider_id="scripted", amount="30.00")
    script.next("cancel", providers.CancelResult(outcome=Outcome.UNKNOWN))
    boss.headers = {"Idempotency-Key": "once"}
    path = f"{STAFF}{collection.pk}/mark-as-paid/"
    interrupted = boss.post(path)
    assert (interrupted.status, interrupted.body["captured_amount"]) == (202, "0.00")

    record_result(
        PaymentOperation.objects.get(kind="cancel"), providers.CancelResult(outcome=Outcome.SUCCEEDED)
    )
    found = boss.post(path)

    assert (found.status, found.body["captured_amount"]) == (200, "100.00")


@pytest.mark.parametrize(
    ("split", "verb", "asked"),
    [("50.00", "update", "60.00"), ("70.00", "cancel", "100.00"), ("70.00", "cancel", None)],
)
def test_marking_as_paid_sent_again_receives_what_is_missing(
    boss: Visitor, collection: PaymentCollection, script: Script, *, split: str, verb: Verb, asked: str | None
) -> None:
    held = services.create_payment_session(collection, provider_id="system", amount="30.00")
    services.authorize_payment_session(held)
    services.create_payment_session(collection, provider_id="scripted", amount=split)
    script.next(verb, ROOM[verb](outcome=Outcome.UNKNOWN))
    boss.headers = {"Idempotency-Key": "once"}
    path, body = f"{STAFF}{collection.pk}/mark-as-paid/", {} if asked is None else {"amount": asked}
    interrupted = boss.post(path, body)
    assert (interrupted.status, interrupted.body["captured_amount"]) == (202, "0.00")

    learn_that_room_was_made(verb)
    found = boss.post(path, body)
    again = boss.post(path, body)

    received = (200, asked or "100.00")
    assert (found.status, found.body["captured_amount"]) == received
    assert (again.status, again.body["captured_amount"]) == received


def _interrupt(visitor: Visitor, path: str, body: Any, kind: OperationKind) -> None:
    """Have the process end once an operation of a kind is recorded, and the key be free again."""

    def die(reached: Checkpoint, operation: PaymentOperation) -> None:
        if reached == Checkpoint.RECORDED and operation.kind == kind:
            raise ProcessDied

    visitor.client.raise_request_exception = True
    with watching(die), pytest.raises(ProcessDied):
        visitor.post(path, body)
    IdempotencyRecord.objects.update(locked_until=None)


@pytest.mark.shows(
    "A receipt is interrupted and sent again, and all was paid or marked as paid by others meanwhile",
    "It is told that nothing is left, for nothing of it was recorded",
)
@pytest.mark.parametrize("asked", ["60.00", "100.00", None])
@pytest.mark.parametrize("is_by_card", [False, True])
def test_marking_as_paid_sent_again_is_an_error_where_others_have_paid(
    boss: Visitor, collection: PaymentCollection, *, asked: str | None, is_by_card: bool
) -> None:
    boss.headers = {"Idempotency-Key": "once"}
    path = f"{STAFF}{collection.pk}/mark-as-paid/"
    body = {"reference": "mine"} | ({} if asked is None else {"amount": asked})
    _interrupt(boss, path, body, OperationKind.INITIATE)
    if is_by_card:
        for session in collection.sessions.unauthorized():
            services.cancel_payment_session(session)
        services.authorize_payment_session(
            services.create_payment_session(collection, provider_id="scripted")
        )
    else:
        services.mark_payment_collection_as_paid(collection)

    again = [boss.post(path, body) for _ in range(2)]

    assert [answer.error[:3] for answer in again] == [(400, "invalid_request", "nothing_left")] * 2
    assert not Capture.objects.filter(reference="mine").exists()


@pytest.mark.parametrize("price", ["100.00", "150.00"])
@pytest.mark.parametrize("kind", [OperationKind.INITIATE, OperationKind.AUTHORIZE])
@pytest.mark.parametrize("asked", ["20.00", "60.00", "100.00", None])
def test_marking_as_paid_that_died_receives_no_more_once_it_is_sent_again(
    boss: Visitor, collection: PaymentCollection, *, asked: str | None, kind: OperationKind, price: str
) -> None:
    held = services.create_payment_session(collection, provider_id="system", amount="30.00")
    services.authorize_payment_session(held)
    boss.headers = {"Idempotency-Key": "once"}
    path, body = f"{STAFF}{collection.pk}/mark-as-paid/", {} if asked is None else {"amount": asked}
    if asked == "20.00":
        kind = OperationKind.CAPTURE
    _interrupt(boss, path, body, kind)
    services.update_payment_collection(collection, amount=price)

    again = [boss.post(path, body) for _ in range(2)]

    assert [answer.body["captured_amount"] for answer in again] == [asked or "100.00"] * 2


@pytest.mark.parametrize("kind", [OperationKind.INITIATE, OperationKind.AUTHORIZE, OperationKind.CAPTURE])
def test_an_expired_key_may_be_used_to_mark_as_paid_again(
    boss: Visitor, collection: PaymentCollection, clock: TestClock, kind: OperationKind
) -> None:
    boss.headers = {"Idempotency-Key": "once"}
    path, body = f"{STAFF}{collection.pk}/mark-as-paid/", {"amount": "20.00"}
    assert boss.post(path, body).status == 200
    clock.advance(LIFETIME + LOCK)
    _interrupt(boss, path, body, kind)

    again = [boss.post(path, body) for _ in range(2)]

    assert [answer.body["captured_amount"] for answer in again] == ["40.00", "40.00"]


@pytest.mark.parametrize(("asked", "left"), [("20.00", "30.00"), ("50.00", None), (None, None)])
def test_marking_a_part_as_paid_sent_again_takes_it_off_once(
    boss: Visitor, collection: PaymentCollection, script: Script, asked: str | None, left: str | None
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted", amount="50.00")
    verb: Verb = "cancel" if left is None else "update"
    script.next(verb, ROOM[verb](outcome=Outcome.UNKNOWN))
    boss.headers = {"Idempotency-Key": "once"}
    path = f"{STAFF}{collection.pk}/mark-as-paid/"
    body = {"payment_session_id": session.pk} | ({} if asked is None else {"amount": asked})
    assert boss.post(path, body).status == 202

    learn_that_room_was_made(verb)
    found = boss.post(path, body)

    session.refresh_from_db()
    assert (found.status, found.body["captured_amount"]) == (200, asked or "50.00")
    assert session.status == ("canceled" if left is None else "pending")
    assert left is None or session.amount == Decimal(left)
