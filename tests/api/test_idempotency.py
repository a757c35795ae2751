"""`Idempotency-Key`: the same request again gets the same answer, and moves no money again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from payments import services
from payments.api.idempotency import REPLAYED
from payments.models import IdempotencyRecord, Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.providers import CaptureResult, Failure, InitiateResult, RefundResult
from payments.services.idempotency import LIFETIME, LOCK, RequestIdentity
from payments.services.ledger.operations import Checkpoint, watching
from payments.services.ledger.records import record_result
from payments.states import OperationStatus, Outcome
from payments.testing import Script
from payments.testing.scripted import Verb
from tests.api.client import Answer, Visitor
from tests.reliability.clocks import TestClock
from tests.threads import times

KEY = "order-1-attempt-1"


class DiedError(BaseException):
    """The process ended here: nothing after this point ran."""


def send(visitor: Visitor, path: str, body: Any = None, *, key: str = KEY) -> Answer:
    visitor.headers = {**visitor.headers, "Idempotency-Key": key}
    return visitor.post(path, body)


def test_a_refund_sent_again_is_answered_again_and_made_once(
    boss: Visitor, captured: Payment, script: Script
) -> None:
    path, body = f"staff/payments/{captured.pk}/refund/", {"amount": "10.00", "note": "scratched"}
    first = send(boss, path, body)
    again = send(boss, path, body)
    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(script.requests("refund")) == 1


@pytest.mark.database_independent
def test_the_order_of_keys_in_the_body_makes_no_other_request(boss: Visitor, captured: Payment) -> None:
    path = f"staff/payments/{captured.pk}/refund/"
    send(boss, path, '{"amount": "10.00", "note": "x"}')
    again = send(boss, path, '{"note": "x", "amount": "10.00"}')
    assert again.headers["Idempotent-Replayed"] == "true"


def test_another_body_under_the_same_key_is_refused(boss: Visitor, captured: Payment, script: Script) -> None:
    path = f"staff/payments/{captured.pk}/refund/"
    send(boss, path, {"amount": "10.00"})
    answer = send(boss, path, {"amount": "20.00"})
    assert answer.error == (
        422,
        "idempotency_error",
        "idempotency_mismatch",
        [("Idempotency-Key", "idempotency_mismatch")],
    )
    assert len(script.requests("refund")) == 1


@pytest.mark.database_independent
def test_another_address_or_user_is_another_request(boss: Visitor, captured: Payment, script: Script) -> None:
    path = f"staff/payments/{captured.pk}/refund/"
    other = Visitor(user=get_user_model().objects.create_superuser("other"))
    assert send(boss, path, {"amount": "10.00"}).status == 200
    assert send(other, path, {"amount": "10.00"}).status == 200
    assert send(boss, path + "?again", {"amount": "10.00"}).status == 200
    assert len(script.requests("refund")) == 3


@pytest.mark.database_independent
def test_without_a_key_every_request_counts(boss: Visitor, captured: Payment, script: Script) -> None:
    path = f"staff/payments/{captured.pk}/refund/"
    assert [boss.post(path, {"amount": "10.00"}).status for _ in range(2)] == [200, 200]
    assert len(script.requests("refund")) == 2
    assert not IdempotencyRecord.objects.exists()


def test_a_request_under_way_is_told_to_wait(boss: Visitor, captured: Payment) -> None:
    path, body = f"staff/payments/{captured.pk}/refund/", {"amount": "10.00"}
    send(boss, path, body)
    IdempotencyRecord.objects.update(response_status=None, locked_until=timezone.now() + LOCK)
    answer = send(boss, path, body)
    assert answer.error[:3] == (409, "conflict", "operation_in_progress")
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "a\x7fb"])
@pytest.mark.database_independent
def test_an_unusable_key_is_refused(boss: Visitor, captured: Payment, key: str) -> None:
    answer = send(boss, f"staff/payments/{captured.pk}/refund/", {"amount": "10.00"}, key=key)
    assert answer.error[:3] == (400, "invalid_request", "invalid_idempotency_key")
    assert not captured.refunds.exists()


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "a\x7fb"])
@pytest.mark.database_independent
def test_an_unusable_key_is_refused_to_a_guest_too(make_order: Callable[..., Any], key: str) -> None:
    make_order()
    answer = send(Visitor(), "storefront/payment-collections/", {"reference": "A-1"}, key=key)
    assert answer.error[:3] == (400, "invalid_request", "invalid_idempotency_key")
    assert not PaymentCollection.objects.exists()


@pytest.mark.database_independent
def test_a_stranger_is_told_nothing_about_their_key(payment: Payment) -> None:
    path = f"storefront/payment-sessions/{payment.session_id}/cancel/"
    assert send(Visitor(), path, key="").error[:3] == (404, "not_found", "not_found")


def test_no_guest_gets_the_answer_of_another_who_chose_the_same_key(make_order: Callable[..., Any]) -> None:
    make_order("B-2")
    make_order("C-3")
    opened = [
        send(Visitor(), "storefront/payment-collections/", {"reference": number}) for number in ("B-2", "C-3")
    ]
    assert [answer.status for answer in opened] == [201, 201]
    assert opened[0].body["id"] != opened[1].body["id"]


@pytest.mark.database_independent
def test_a_key_stands_for_one_person_logged_in_or_with_a_secret(
    guest: Visitor, collection: PaymentCollection, shopper: Any
) -> None:
    PaymentCollection.objects.filter(pk=collection.pk).update(customer=shopper)
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    with_secret = send(guest, path, {"provider_id": "scripted"})
    logged_in = send(Visitor(user=shopper), path, {"provider_id": "scripted"})
    assert (with_secret.status, logged_in.status) == (201, 201)
    assert "Idempotent-Replayed" not in logged_in.headers
    assert with_secret.body["id"] != logged_in.body["id"]


def test_a_decline_is_answered_again(boss: Visitor, captured: Payment, script: Script) -> None:
    script.next("refund", RefundResult(outcome=Outcome.DECLINED, failure=Failure(code="too_old")))
    path, body = f"staff/payments/{captured.pk}/refund/", {"amount": "10.00"}
    first = send(boss, path, body)
    again = send(boss, path, body)
    assert (first.status, again.status) == (402, 402)
    assert again.body == first.body
    assert len(script.requests("refund")) == 1


def test_bad_input_is_not_kept(boss: Visitor, captured: Payment) -> None:
    path = f"staff/payments/{captured.pk}/refund/"
    assert send(boss, path, {"amount": "1000.00"}).status == 400
    record = IdempotencyRecord.objects.get()
    assert (record.response_status, record.locked_until) == (None, None)


def test_the_same_key_after_an_unknown_outcome_asks_for_nothing_new(
    boss: Visitor, captured: Payment, script: Script
) -> None:
    script.next("refund", RefundResult(outcome=Outcome.UNKNOWN))
    path, body = f"staff/payments/{captured.pk}/refund/", {"amount": "10.00"}
    assert send(boss, path, body).status == 202
    assert send(boss, path, body).status == 202
    operation = PaymentOperation.objects.get(kind="refund")
    record_result(
        operation, RefundResult(outcome=Outcome.SUCCEEDED, amount=operation.amount, currency_code="eur")
    )
    found = send(boss, path, body)
    assert (found.status, found.headers["Idempotent-Replayed"]) == (200, "true")
    assert found.body["refunded_amount"] == "10.00"
    assert len(script.requests("refund")) == 1
    assert captured.refunds.count() == 1


def test_what_was_never_sent_is_tried_anew(boss: Visitor, captured: Payment, script: Script) -> None:
    script.next("refund", RefundResult(outcome=Outcome.NOT_SENT))
    path, body = f"staff/payments/{captured.pk}/refund/", {"amount": "10.00"}
    assert send(boss, path, body).status == 503
    assert send(boss, path, body).status == 200
    keys = {request.idempotency_key for request in script.requests("refund")}
    assert len(keys) == 2


@pytest.mark.parametrize("point", list(Checkpoint))
def test_a_request_whose_process_died_is_not_made_twice(
    boss: Visitor, captured: Payment, script: Script, point: Checkpoint, transactional_db: None
) -> None:
    path, body = f"staff/payments/{captured.pk}/refund/", {"amount": "10.00"}

    def die(reached: Checkpoint, operation: PaymentOperation) -> None:
        if reached == point:
            raise DiedError

    boss.client.raise_request_exception = True
    with watching(die), pytest.raises(DiedError):
        send(boss, path, body)
    IdempotencyRecord.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    answer = send(boss, path, body)
    expected = 202 if point in (Checkpoint.CLAIMED, Checkpoint.CALLED, Checkpoint.RECORDING) else 200
    assert answer.status == expected
    assert captured.refunds.count() == 1
    assert len(script.requests("refund")) <= 1


def test_a_session_that_could_not_be_created_is_created_by_the_next_try(
    guest: Visitor, collection: PaymentCollection, script: Script
) -> None:
    path, body = (
        f"storefront/payment-collections/{collection.pk}/payment-sessions/",
        {"provider_id": "scripted"},
    )
    replaced = guest.post(path, body)
    script.next("initiate", InitiateResult(outcome=Outcome.NOT_SENT))
    assert send(guest, path, body).status == 503

    created = send(guest, path, body)
    again = send(guest, path, body)

    assert (created.status, created.body["status"]) == (201, "pending")
    assert created.body["id"] != replaced.body["id"]
    assert (again.status, again.body["id"]) == (201, created.body["id"])
    assert script.verbs == ["initiate", "cancel", "initiate", "initiate"]


def test_a_session_is_created_once(guest: Visitor, collection: PaymentCollection, script: Script) -> None:
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    first = send(guest, path, {"provider_id": "scripted"})
    again = send(guest, path, {"provider_id": "scripted"})
    assert (first.status, again.status) == (201, 201)
    assert first.body == again.body
    assert PaymentSession.objects.count() == 1


@pytest.mark.shows(
    "A request sent again with the new secret after SECRET_KEY was rotated", "the first answer; done once"
)
def test_a_request_under_its_key_stays_the_same_when_the_secret_is_renewed(
    guest: Visitor, collection: PaymentCollection, script: Script, settings: Any
) -> None:
    guest.headers |= {"Idempotency-Key": "wish-1"}
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    first = guest.post(path, {"provider_id": "scripted"})
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    renewed = Visitor().post("storefront/payment-collections/", {"reference": "A-1"}).body["client_secret"]
    assert renewed != guest.headers["Payment-Client-Secret"]
    for secret in (guest.headers["Payment-Client-Secret"], renewed):
        guest.headers["Payment-Client-Secret"] = secret
        again = guest.post(path, {"provider_id": "scripted"})
        assert (again.status, again.body) == (201, first.body)
        assert again.headers["Idempotent-Replayed"] == "true"
    assert len(script.requests("initiate")) == 1


def test_who_makes_a_request_is_not_printed() -> None:
    identity = RequestIdentity(principal="paycs_1", route="/", key="k", body=b"tok_1")
    assert "paycs_1" not in repr(identity)
    assert "tok_1" not in repr(identity)


def test_a_replay_is_only_for_who_may_still_see_it(
    guest: Visitor, collection: PaymentCollection, shopper: Any
) -> None:
    customer = Visitor(user=shopper)
    PaymentCollection.objects.filter(pk=collection.pk).update(customer=shopper)
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    assert send(customer, path, {"provider_id": "scripted"}).status == 201
    PaymentCollection.objects.filter(pk=collection.pk).update(customer=None)
    assert send(customer, path, {"provider_id": "scripted"}).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "storefront/payment-collections/",
        "storefront/payment-collections/{collection}/payment-sessions/",
        "storefront/payment-collections/pay_col_0/payment-sessions/",
        "storefront/payment-sessions/{session}/authorize/",
        "storefront/payment-sessions/{session}/cancel/",
        "storefront/payment-sessions/payses_0/cancel/",
    ],
)
@pytest.mark.database_independent
def test_a_stranger_leaves_no_record(payment: Payment, make_order: Callable[..., Any], path: str) -> None:
    address = path.format(collection=payment.collection_id, session=payment.session_id)
    is_opening = address == "storefront/payment-collections/"
    for number, secret in enumerate([None, "", "paycs_made_up"]):
        body = {"reference": make_order(f"B-{number}").number} if is_opening else {}
        assert send(Visitor(secret=secret), address, body).status == (201 if is_opening else 404)
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.database_independent
def test_a_customer_leaves_no_record_at_what_is_not_theirs(payment: Payment, shopper: Any) -> None:
    visitor = Visitor(user=shopper, secret="paycs_made_up")
    assert send(visitor, f"storefront/payment-sessions/{payment.session_id}/cancel/").status == 404
    assert not IdempotencyRecord.objects.exists()


def test_a_guest_without_a_secret_opens_the_one_collection_again(make_order: Callable[..., Any]) -> None:
    make_order("B-2")
    answers = [send(Visitor(), "storefront/payment-collections/", {"reference": "B-2"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 200]
    assert PaymentCollection.objects.count() == 1
    assert not IdempotencyRecord.objects.exists()


def test_a_staff_collection_is_created_once(boss: Visitor) -> None:
    body = {"amount": "5.00", "currency_code": "eur"}
    first = send(boss, "staff/payment-collections/", body)
    again = send(boss, "staff/payment-collections/", body)
    assert (first.status, again.status) == (201, 201)
    assert first.body["id"] == again.body["id"]
    assert PaymentCollection.objects.count() == 1


def test_an_expired_key_may_be_used_for_something_else(boss: Visitor) -> None:
    send(boss, "staff/payment-collections/", {"amount": "5.00", "currency_code": "eur"})
    IdempotencyRecord.objects.update(expires_at=timezone.now() - LIFETIME)
    other = send(boss, "staff/payment-collections/", {"amount": "6.00", "currency_code": "eur"})
    assert other.status == 201
    assert other.body["amount"] == "6.00"


@pytest.mark.parametrize("is_pruned", [False, True])
@pytest.mark.parametrize("verb", ["capture", "refund"])
def test_an_expired_key_may_be_used_to_move_money_again(
    boss: Visitor, payment: Payment, script: Script, clock: TestClock, *, verb: Verb, is_pruned: bool
) -> None:
    if verb == "refund":
        services.capture_payment(payment)
    path = f"staff/payments/{payment.pk}/{verb}/"
    assert send(boss, path, {"amount": "10.00"}).status == 200
    clock.advance(LIFETIME + LOCK)
    if is_pruned:
        IdempotencyRecord.objects.all().delete()

    other = send(boss, path, {"amount": "20.00"})
    again = send(boss, path, {"amount": "20.00"})

    moved = [answer.body[f"{verb}{'d' if verb == 'capture' else 'ed'}_amount"] for answer in (other, again)]
    assert moved == ["30.00", "30.00"]
    assert [REPLAYED in answer.headers for answer in (other, again)] == [False, True]
    assert [request.amount for request in script.requests(verb)][-2:] == [Decimal(10), Decimal(20)]


def test_one_key_at_once_from_eight_sides_refunds_once(
    boss: Visitor, captured: Payment, script: Script, transactional_db: None
) -> None:
    user = get_user_model().objects.get(username="boss")

    def ask() -> int:
        return send(Visitor(user=user), f"staff/payments/{captured.pk}/refund/", {"amount": "10.00"}).status

    outcomes = times(8, ask)
    assert outcomes.errors == []
    assert {200} <= set(outcomes.values) <= {200, 409}
    assert len(script.requests("refund")) == 1
    assert PaymentOperation.objects.filter(kind="refund", status=OperationStatus.SUCCEEDED).count() == 1


def test_a_capture_that_came_back_as_a_decline_later_is_told(
    boss: Visitor, payment: Payment, script: Script
) -> None:
    script.next("capture", CaptureResult(outcome=Outcome.UNKNOWN))
    path = f"staff/payments/{payment.pk}/capture/"
    assert send(boss, path, {}).status == 202
    record_result(
        PaymentOperation.objects.get(kind="capture"),
        CaptureResult(outcome=Outcome.DECLINED, failure=Failure(code="expired")),
    )
    assert send(boss, path, {}).error[:3] == (402, "provider_error", "expired")
