"""Refusals that tell more than no: the payer has paid meanwhile, or a clerk has used the provider's dashboard."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from payments import providers, services
from payments.exceptions import AmountError, DeclinedError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.states import Outcome
from payments.testing import Script
from tests.services.facts import AUTHORIZED, captured
from tests.services.results import declined

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

PAID = captured("100")


def knows(fact: providers.SessionFact) -> providers.RetrieveResult:
    """Return the answer of a provider that is asked about a session."""
    return providers.RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact)


@pytest.mark.shows(
    "A session is canceled, and the provider refuses: its payer has paid meanwhile",
    "The refusal is told, and the payment is in the books",
)
def test_payment_made_meanwhile_is_in_the_books_after_a_refused_cancelation(
    session: PaymentSession, card: Script
) -> None:
    card.next("cancel", declined(providers.CancelResult))
    card.next("retrieve", knows(PAID))
    with pytest.raises(DeclinedError):
        services.cancel_payment_session(session)
    session.refresh_from_db()
    assert session.status == "authorized"
    assert (session.payment.captured_amount, session.collection.status) == (Decimal(100), "completed")  # type: ignore[union-attr]


def test_payer_who_has_paid_meanwhile_is_in_the_books_after_a_refused_change(
    session: PaymentSession, card: Script
) -> None:
    card.next("update", declined(providers.UpdateResult))
    card.next("retrieve", knows(AUTHORIZED))
    with pytest.raises(DeclinedError):
        services.update_payment_session(session, amount="60.00")
    session.refresh_from_db()
    assert (session.status, session.amount) == ("authorized", Decimal(100))


@pytest.mark.parametrize("verb", ["capture", "refund"])
def test_what_a_clerk_has_done_is_in_the_books_after_a_refused_movement(
    payment: Payment, card: Script, verb: str
) -> None:
    if verb == "capture":
        card.next("capture", declined(providers.CaptureResult))
        card.next("retrieve", knows(PAID))
        with pytest.raises(DeclinedError):
            services.capture_payment(payment)
    else:
        services.capture_payment(payment)
        card.next("refund", declined(providers.RefundResult))
        card.next("retrieve", knows(captured("100", refunded_amount=Decimal(100))))
        with pytest.raises(DeclinedError):
            services.refund_payment(payment)
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal(100)
    assert payment.refunded_amount == (Decimal(100) if verb == "refund" else 0)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.parametrize(
    "answer", [TimeoutError(), providers.RetrieveResult(outcome=Outcome.SUCCEEDED)], ids=repr
)
def test_refusal_stands_by_itself_where_the_provider_says_no_more(
    session: PaymentSession, card: Script, answer: providers.RetrieveResult | TimeoutError
) -> None:
    card.next("cancel", declined(providers.CancelResult))
    card.next("retrieve", answer)
    with pytest.raises(DeclinedError):
        services.cancel_payment_session(session)
    session.refresh_from_db()
    assert session.status == "pending"


def test_provider_that_cannot_be_asked_is_not_asked(session: PaymentSession, card: Script) -> None:
    card.lacks.add("retrieve")
    card.next("cancel", declined(providers.CancelResult))
    with pytest.raises(DeclinedError):
        services.cancel_payment_session(session)
    assert card.requests("retrieve") == []


@pytest.mark.shows(
    "A payer pays, and before anybody has heard of it they choose another way to pay",
    "The other way is refused, and its provider isn't asked for anything: nobody pays twice",
)
def test_payer_who_has_paid_meanwhile_is_offered_no_second_way_to_pay(
    collection: PaymentCollection, session: PaymentSession, card: Script, wallet: Script
) -> None:
    card.next("cancel", declined(providers.CancelResult))
    card.next("retrieve", knows(PAID))
    with pytest.raises(AmountError) as caught:
        services.create_payment_session(collection, provider_id="wallet")
    assert caught.value.code == "exceeds_remaining"
    assert wallet.verbs == []
    second = collection.sessions.exclude(pk=session.pk).get()
    assert (second.status, second.operations.get().status) == ("error", "not_sent")
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.shows(
    "An order is marked as paid, though its payer has paid already and nobody has heard of it yet",
    "It is refused, and the payer's own payment is in the books: once",
)
@pytest.mark.parametrize("amount", ["100.00", None], ids=["split", "rest"])
def test_order_that_is_paid_already_is_not_marked_as_paid_too(
    collection: PaymentCollection, card: Script, amount: str | None
) -> None:
    services.create_payment_session(collection, provider_id="card", amount=amount)
    card.next("cancel", declined(providers.CancelResult))
    card.next("retrieve", knows(PAID))
    with pytest.raises(AmountError):
        services.mark_payment_collection_as_paid(collection)
    collection.refresh_from_db()
    assert (collection.status, collection.captured_amount) == ("completed", Decimal(100))
    assert Payment.objects.get().provider_id == "card"


@pytest.mark.shows(
    "A payment is released, of which a part was captured in the provider's dashboard, unknown to us",
    "What was captured stays, and only the rest is released",
)
def test_release_keeps_what_was_captured_where_nobody_told_us(payment: Payment, card: Script) -> None:
    fact = captured("60", canceled_amount=Decimal(40))
    card.next("cancel", providers.CancelResult(outcome=Outcome.SUCCEEDED, fact=fact))
    services.cancel_payment(payment)
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.canceled_amount) == (Decimal(60), Decimal(40))
    assert (payment.status, payment.session.status) == ("captured", "authorized")
    assert not PaymentOperation.objects.open().exists()


def test_what_a_split_was_paid_with_counts_when_the_rest_is_marked_as_paid(
    collection: PaymentCollection, card: Script
) -> None:
    services.create_payment_session(collection, provider_id="card", amount="60.00")
    card.next("cancel", declined(providers.CancelResult))
    card.next("retrieve", knows(replace(AUTHORIZED, amount=None, authorized_amount=Decimal(60))))
    services.mark_payment_collection_as_paid(collection)
    assert (collection.authorized_amount, collection.captured_amount) == (Decimal(100), Decimal(40))
