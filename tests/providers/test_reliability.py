"""Every fault of the reliability table that a payment provider can have, at each payment service.

The shop's books are held against the fake's after each.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest

from payments import services
from payments.exceptions import OutcomeUnknownError, PaymentError, ProviderUnavailableError
from payments.models import Payment, PaymentCollection, PaymentOperation
from payments.states import OperationStatus, SessionStatus
from tests.fakes import Fault
from tests.providers.peers import PEERS, PayPalPeer, Peer
from tests.reliability.clocks import TestClock
from tests.reliability.verbs import VERBS, Verb, approved, session_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]


@pytest.mark.parametrize(
    ("peer", "verb", "fault"),
    # Each verb with an answer lost before and after it has acted and with a conflict, and the capture with all.
    [
        (kind, verb, fault)
        for kind in PEERS
        for verb in VERBS
        for fault in kind.lost
        if verb.name == "capture" or fault in (Fault.SILENCE_AFTER, Fault.GARBAGE_BEFORE, Fault.CONFLICT)
    ],
    indirect=["peer"],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_lost_answer_is_found_out_and_nothing_is_done_twice(
    peer: Peer, clock: TestClock, verb: Verb, fault: Fault
) -> None:
    collection = verb.prepare(peer.payer)
    peer.fake.misbehave(peer.asked[verb.name], fault)
    with pytest.raises(OutcomeUnknownError):
        verb.run(peer.payer, collection)
    clock.advance(timedelta(minutes=2))
    services.reconcile_due()
    peer.assert_done_once(verb)
    peer.assert_books_agree(collection)


@pytest.mark.parametrize(
    ("peer", "verb"),
    # A cancelation at PayPal is over then: nothing is held for an order that isn't authorized yet.
    [
        (kind, verb)
        for kind in PEERS
        for verb in VERBS[1:]
        if (kind, verb.name) != (PayPalPeer, "cancel_session")
    ],
    indirect=["peer"],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_that_another_account_does_not_know_the_session_proves_nothing(
    peer: Peer, clock: TestClock, verb: Verb
) -> None:
    collection = verb.prepare(peer.payer)
    peer.fake.misbehave(peer.asked[verb.name], Fault.CUT_OFF_AFTER)
    with pytest.raises(OutcomeUnknownError):
        verb.run(peer.payer, collection)
    with type(peer)().configured():
        clock.advance(timedelta(minutes=2))
        assert services.reconcile_due() == 1
    [waiting] = PaymentOperation.objects.open()
    assert waiting.status == OperationStatus.UNKNOWN
    clock.advance(timedelta(minutes=6))
    services.reconcile_due()
    peer.assert_done_once(verb)
    peer.assert_books_agree(collection)


@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_what_certainly_was_not_done_can_be_asked_again_at_once(peer: Peer, verb: Verb) -> None:
    collection = verb.prepare(peer.payer)
    peer.fake.misbehave(peer.asked[verb.name], Fault.TOO_MANY)
    with pytest.raises(ProviderUnavailableError):
        verb.run(peer.payer, collection)
    if verb.name == "initiate":
        session = session_of(collection)
        assert str(session.status) == SessionStatus.ERROR
        services.authorize_payment_session(session, data=peer.payer.sent)
        if isinstance(peer, PayPalPeer):
            assert session.status == SessionStatus.REQUIRES_MORE
    else:
        verb.run(peer.payer, collection)
    assert peer.fake.executed.count(peer.asked[verb.name]) == 1
    peer.assert_books_agree(collection)


@pytest.fixture
def not_known_by_its_id(peer: Peer, collection: PaymentCollection) -> PaymentCollection:
    """Return a collection with a session whose id never reached the shop, and that can't be found by the shop's."""
    peer.forget_ids()
    peer.fake.misbehave("create", Fault.CUT_OFF_AFTER)
    with pytest.raises(OutcomeUnknownError):
        services.create_payment_session(collection, provider_id=peer.payer.provider_id)
    return collection


def test_a_session_whose_id_never_reached_us_is_found_by_its_key(
    peer: Peer, clock: TestClock, not_known_by_its_id: PaymentCollection
) -> None:
    clock.advance(timedelta(minutes=2))
    services.reconcile_due()
    assert len(peer.fake.books.all(peer.made)) == 1
    peer.assert_books_agree(not_known_by_its_id)
    if isinstance(peer, PayPalPeer):
        assert session_of(not_known_by_its_id).status == SessionStatus.REQUIRES_MORE


def test_beyond_its_key_s_window_a_session_that_is_not_found_needs_a_person(
    peer: Peer, clock: TestClock, not_known_by_its_id: PaymentCollection
) -> None:
    clock.advance(peer.key_window)
    services.reconcile_due()
    operation = PaymentOperation.objects.get()
    assert (operation.status, operation.detail) == (OperationStatus.ATTENTION, "not_found_after_key_window")
    assert len(peer.fake.books.all(peer.made)) == 1


def test_while_the_service_is_down_everything_waits(peer: Peer, clock: TestClock, held: Payment) -> None:
    peer.fake.misbehave("capture", Fault.SILENCE_BEFORE, times=9)
    peer.fake.misbehave("retrieve", Fault.SILENCE_BEFORE, after=peer.first_looks, times=9)
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(held)
    for _look in range(3):
        clock.advance(timedelta(minutes=30))
        services.reconcile_due()
    assert PaymentOperation.objects.get(kind="capture").status == OperationStatus.UNKNOWN
    peer.fake.behave()
    clock.advance(timedelta(hours=2))
    services.reconcile_due()
    assert peer.fake.executed.count("capture") == 1
    peer.assert_books_agree(held.collection)


def test_a_lost_capture_of_a_part_is_told_apart_from_one_in_the_dashboard(
    peer: Peer, clock: TestClock, held: Payment
) -> None:
    peer.fake.misbehave("capture", Fault.GARBAGE_BEFORE)
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(held, amount="60.00")
    peer.capture(held.session, "30")
    clock.advance(timedelta(minutes=2))
    services.reconcile_due()
    held.refresh_from_db()
    assert held.captured_amount == Decimal("30.00")
    assert PaymentOperation.objects.get(kind="capture").status == OperationStatus.DECLINED


def test_authorizing_twice_holds_the_money_once(peer: Peer, transactional_db: None) -> None:
    session = session_of(approved(peer.payer))
    first = services.authorize_payment_session(session, data=peer.payer.sent)
    second = services.authorize_payment_session(session, data=peer.payer.sent)
    assert first.payment == second.payment
    assert peer.fake.executed.count(peer.asked["authorize"]) == 1


def test_a_partial_capture_releases_the_rest_in_the_books_too(peer: Peer, held: Payment) -> None:
    services.capture_payment(held, amount="60.00")
    assert (held.captured_amount, held.canceled_amount) == (Decimal("60.00"), Decimal("40.00"))
    peer.assert_books_agree(held.collection)


def test_books_agree_after_refunds_in_parts(peer: Peer, held: Payment) -> None:
    captured = services.capture_payment(held)
    for amount in ("10.00", "10.00", "80.00"):
        services.refund_payment(captured, amount=amount)
    with suppress(PaymentError):
        services.refund_payment(captured, amount="0.01")
    assert captured.refunded_amount == Decimal("100.00")
    peer.assert_books_agree(captured.collection)
