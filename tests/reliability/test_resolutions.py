"""What nobody could find out is decided by a person, with a reason, and then it is as if the provider had said so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db.models import F, QuerySet
from django.utils import timezone

from payments import services
from payments.exceptions import InputError, OutcomeUnknownError, PaymentError, TransitionError
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import AuthorizeRequest, AuthorizeResult, MovementFact, RetrieveResult, SessionFact
from payments.services.background.reconciler import reconcile_operation
from payments.simulator import SimulatorService
from payments.states import EventSource, MovementKind, MovementStatus, Outcome
from payments.testing import Script, scripted_provider
from payments.testing.scripted import Verb
from tests.reliability.books import assert_invariants, event_count, our_books, their_books

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def script(transactional_db: None) -> Iterator[Script]:
    """Return what the provider `scripted` answers; it can't be asked about a session."""
    with scripted_provider(lacks=["retrieve"]) as script:
        yield script


@pytest.fixture
def staff(transactional_db: None) -> Any:
    """Return a user who works at the shop."""
    return get_user_model().objects.create_user("alice", is_staff=True)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Say how an operation comes about, and how one sees whether it was done."""

    verb: Verb
    prepare: Callable[[PaymentCollection], object]
    run: Callable[[PaymentCollection], object]
    is_done: Callable[[PaymentSession], bool]


def _session(collection: PaymentCollection) -> PaymentSession:
    return collection.sessions.select_related("authorized_payment").get()


def _payment(collection: PaymentCollection) -> Payment:
    return collection.payments.get()


def _nothing(collection: PaymentCollection) -> None:
    """Leave a collection as it is."""


def _initiate(collection: PaymentCollection) -> object:
    return services.create_payment_session(collection, provider_id="scripted")


def _authorize(collection: PaymentCollection) -> object:
    return services.authorize_payment_session(
        services.create_payment_session(collection, provider_id="scripted")
    )


def _capture(collection: PaymentCollection) -> object:
    _authorize(collection)
    return services.capture_payment(_payment(collection))


def _of_payment(check: Callable[[Payment], bool]) -> Callable[[PaymentSession], bool]:
    return lambda session: session.payment is not None and check(session.payment)


CASES = {
    "initiate": Case(
        verb="initiate",
        prepare=_nothing,
        run=_initiate,
        is_done=lambda session: session.initiated_at is not None,
    ),
    "update": Case(
        verb="update",
        prepare=_initiate,
        run=lambda collection: services.update_payment_session(_session(collection), amount="60.00"),
        is_done=lambda session: session.amount == 60,
    ),
    "authorize": Case(
        verb="authorize",
        prepare=_initiate,
        run=lambda collection: services.authorize_payment_session(_session(collection)),
        is_done=_of_payment(lambda payment: payment.amount == 100),
    ),
    "capture": Case(
        verb="capture",
        prepare=_authorize,
        run=lambda collection: services.capture_payment(_payment(collection), amount="60.00"),
        is_done=_of_payment(lambda payment: payment.captured_amount == 60),
    ),
    "refund": Case(
        verb="refund",
        prepare=_capture,
        run=lambda collection: services.refund_payment(_payment(collection), amount="60.00"),
        is_done=_of_payment(lambda payment: payment.refunded_amount == 60),
    ),
    "cancel a session": Case(
        verb="cancel",
        prepare=_initiate,
        run=lambda collection: services.cancel_payment_session(_session(collection)),
        is_done=lambda session: session.status == "canceled",
    ),
    "cancel a payment": Case(
        verb="cancel",
        prepare=_authorize,
        run=lambda collection: services.cancel_payment(_payment(collection)),
        is_done=_of_payment(lambda payment: payment.status == "canceled"),
    ),
}


def in_attention(case: Case, script: Script) -> PaymentOperation:
    """Return an operation of which nobody could find out whether it was done."""
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    case.prepare(collection)
    script.next(case.verb, *[TimeoutError()] * 7)
    with pytest.raises(PaymentError):
        case.run(collection)
    operation = PaymentOperation.objects.get(collection=collection, status="unknown")
    for _look in range(6):
        operation = reconcile_operation(operation)
    assert operation.status == "attention"
    assert not script.unused
    return operation


@pytest.mark.shows(
    "A person finds out that an operation in doubt was carried out",
    "It is recorded as if the provider had said so, with actor, reason and evidence",
)
@pytest.mark.parametrize("name", CASES)
def test_person_says_that_it_has_happened(script: Script, staff: Any, name: str) -> None:
    case = CASES[name]
    operation = in_attention(case, script)
    resolved = services.resolve_operation(
        operation,
        has_happened=True,
        reason="Seen in the dashboard.",
        evidence="tx_123",
        actor=staff,
        source="admin",
    )
    assert resolved.status == "succeeded"
    assert case.is_done(_session(operation.collection))
    assert_resolution_is_kept(operation, staff)
    assert_invariants(operation.collection)


@pytest.mark.shows(
    "A person finds out that an operation in doubt was not carried out",
    "What it reserved is free, and asking again sends it under a new key",
)
@pytest.mark.parametrize("name", CASES)
def test_person_says_that_it_has_not_happened(script: Script, staff: Any, name: str) -> None:
    case = CASES[name]
    operation = in_attention(case, script)
    resolved = services.resolve_operation(
        operation,
        has_happened=False,
        reason="The provider's support says so.",
        evidence="tx_123",
        actor=staff,
    )
    assert (resolved.status, resolved.error_code) == ("declined", "resolved_as_not_done")
    assert not case.is_done(_session(operation.collection))
    assert_resolution_is_kept(operation, staff)
    assert_invariants(operation.collection)
    case.run(operation.collection)
    assert case.is_done(operation.collection.sessions.order_by("created_at").reverse()[0])
    keys = [request.idempotency_key for request in script.requests(case.verb)]
    assert keys[-1] != operation.pk


@pytest.mark.shows(
    "A person who says that money moved names the provider's reference of it",
    "A later report about it is known to be about the same money",
)
@pytest.mark.parametrize("kind", ["capture", "refund"])
def test_reference_that_a_person_gives_is_recognized(script: Script, kind: str) -> None:
    operation = in_attention(CASES[kind], script)
    services.resolve_operation(operation, has_happened=True, reason="Seen.", provider_reference="tx_9")
    row = operation.capture or operation.refund
    assert row is not None
    row.refresh_from_db()
    assert row.provider_reference == "tx_9"
    reported = MovementFact(
        kind=MovementKind(kind),
        status=MovementStatus.SUCCEEDED,
        amount=row.amount,
        currency_code="eur",
        provider_reference="tx_9",
    )
    services.record_fact(
        operation.session, SessionFact(currency_code="eur", movements=(reported,)), origin=services.Origin()
    )
    assert type(row).objects.filter(payment=row.payment).count() == 1
    assert_invariants(operation.collection)


STATED: dict[str, dict[str, Any]] = {
    "authorize": {"status": "pending"},
    "capture": {"status": "authorized", "authorized_amount": Decimal(100), "captured_amount": Decimal(0)},
    "refund": {"status": "authorized", "captured_amount": Decimal(100), "refunded_amount": Decimal(0)},
}
"""What a provider says of a session in which the operation has not happened."""

CONFIRMED: dict[str, dict[str, Any]] = {
    "authorize": {"status": "authorized", "authorized_amount": Decimal(100)},
    "capture": {"status": "authorized", "captured_amount": Decimal(60)},
    "refund": {"status": "authorized", "captured_amount": Decimal(100), "refunded_amount": Decimal(60)},
}


def state(session: PaymentSession, stated: dict[str, Any]) -> None:
    """Ask a provider that can be asked about a session, and have it say that."""
    fact = SessionFact(currency_code="eur", **stated)
    with scripted_provider() as script:
        script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact))
        services.sync_payment_session(session)


def needing_attention() -> list[str]:
    rows = PaymentOperation.objects.filter(status="attention").order_by("created_at")
    return [row.detail.partition(":")[0] for row in rows]


@pytest.mark.shows(
    "A person says by mistake that an operation has happened, and then the provider is asked",
    "It needs attention that the provider doesn't know of it; nothing is taken back by itself, nor told twice",
)
@pytest.mark.parametrize("kind", STATED)
def test_mistaken_word_is_contradicted_once_the_provider_is_asked(script: Script, kind: str) -> None:
    operation = in_attention(CASES[kind], script)
    services.resolve_operation(operation, has_happened=True, reason="Seen.")
    for _again in range(2):
        state(operation.session, STATED[kind])
    code = {"authorize": "authorization"}.get(kind, kind)
    assert needing_attention() == [f"{code}_not_confirmed"]
    assert CASES[kind].is_done(_session(operation.collection))
    assert_invariants(operation.collection)


def test_word_about_a_refund_that_is_pending_at_the_provider_is_not_contradicted(script: Script) -> None:
    operation = in_attention(CASES["refund"], script)
    services.resolve_operation(operation, has_happened=True, reason="Seen.")
    pending = MovementFact(
        kind=MovementKind.REFUND,
        status=MovementStatus.PENDING,
        amount=Decimal(60),
        currency_code="eur",
        operation_id=operation.pk,
    )
    state(operation.session, {**STATED["refund"], "movements": (pending,)})
    assert needing_attention() == []


def test_second_mistaken_word_is_contradicted_as_the_first(script: Script) -> None:
    first = in_attention(CASES["capture"], script)
    services.resolve_operation(first, has_happened=True, reason="Seen.")
    state(first.session, STATED["capture"])
    services.correct_operation(first, has_happened=False, reason="A mistake.")
    report = PaymentOperation.objects.get(status="attention")
    services.resolve_operation(report, has_happened=True, reason="Known.")
    script.next("capture", TimeoutError())
    with pytest.raises(PaymentError):
        services.capture_payment(_payment(first.collection), amount="30.00")
    second = PaymentOperation.objects.get(collection=first.collection, status="unknown")
    long_ago = timezone.now() - timedelta(hours=1)
    QuerySet(PaymentOperation).filter(pk=second.pk).update(unclear_since=long_ago)
    services.resolve_operation(second, has_happened=True, reason="Seen.")
    for _again in range(2):
        state(second.session, STATED["capture"])
    assert needing_attention() == ["capture_not_confirmed"]


@pytest.mark.parametrize("kind", STATED)
@pytest.mark.parametrize("is_asked", [True, False])
def test_word_that_is_right_or_only_contradicted_by_old_news_needs_nobody(
    script: Script, kind: str, is_asked: bool
) -> None:
    operation = in_attention(CASES[kind], script)
    services.resolve_operation(operation, has_happened=True, reason="Seen.")
    if is_asked:
        state(operation.session, CONFIRMED[kind])
        state(operation.session, STATED[kind])  # It has confirmed it once.
    else:
        fact = SessionFact(currency_code="eur", **STATED[kind])
        services.record_fact(operation.session, fact, origin=services.Origin(source=EventSource.WEBHOOK))
    assert needing_attention() == []


def test_session_whose_initiation_got_lost_goes_on_with_the_reference(script: Script) -> None:
    operation = in_attention(CASES["initiate"], script)
    services.resolve_operation(operation, has_happened=True, reason="Seen.", provider_reference="intent_9")
    session = services.authorize_payment_session(operation.session)
    assert (session.status, session.provider_reference) == ("authorized", "intent_9")
    assert script.requests("authorize")[-1].provider_reference == "intent_9"


def assert_resolution_is_kept(operation: PaymentOperation, staff: Any) -> None:
    """Make sure that the row and the history say who decided it, and why."""
    operation.refresh_from_db()
    event = PaymentEvent.objects.get(operation=operation, type="operation.resolved")
    assert operation.resolved_by == event.actor == staff
    assert event.actor_label == "alice"
    assert (operation.resolution_reason, operation.resolution_evidence) == (event.data["reason"], "tx_123")
    assert operation.in_flight_key is None
    assert operation.finished_at is not None


@pytest.mark.shows(
    "Somebody resolves an operation without saying how they know", "Refused, nothing is changed"
)
def test_resolution_without_a_reason_is_refused(script: Script) -> None:
    operation = in_attention(CASES["capture"], script)
    with pytest.raises(InputError) as refusal:
        services.resolve_operation(operation, has_happened=True, reason="  ")
    assert (refusal.value.code, refusal.value.field) == ("reason_required", "reason")
    operation.refresh_from_db()
    assert operation.status == "attention"


@pytest.mark.shows("Two people resolve one operation differently", "The second is refused")
def test_operation_is_resolved_once(script: Script) -> None:
    operation = in_attention(CASES["capture"], script)
    services.resolve_operation(operation, has_happened=True, reason="Seen.")
    with pytest.raises(TransitionError) as refusal:
        services.resolve_operation(operation, has_happened=False, reason="Not seen.")
    assert refusal.value.code == "not_in_attention"
    assert event_count(operation.collection, "operation.resolved") == 1


@pytest.mark.shows(
    "A person says that something didn't happen which the books know to have happened",
    "Refused: only a refund or a cancelation undoes it",
)
def test_what_is_in_the_books_cannot_be_resolved_away(script: Script) -> None:
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="scripted")

    def cancel_meanwhile(request: AuthorizeRequest) -> AuthorizeResult:
        rows: QuerySet[PaymentCollection] = QuerySet(PaymentCollection).filter(pk=collection.pk)
        rows.update(status="canceled", canceled_at=timezone.now(), version=F("version") + 1)
        return AuthorizeResult(
            outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
        )

    script.next("authorize", cancel_meanwhile)
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)
    operation = PaymentOperation.objects.get(status="attention")
    assert operation.detail.startswith("late_authorization")
    with pytest.raises(TransitionError) as refusal:
        services.resolve_operation(operation, has_happened=False, reason="It can't be.")
    assert refusal.value.code == "already_recorded"
    services.resolve_operation(operation, has_happened=True, reason="It will be shipped.")
    assert not PaymentOperation.objects.open().exists()
    assert _payment(collection).amount == 100


@pytest.mark.shows(
    "The provider reports what nobody asked for, and a person has seen it",
    "The report is acknowledged, either way, and changes nothing",
)
@pytest.mark.parametrize("has_happened", [True, False])
def test_report_is_acknowledged(
    simulator: SimulatorService, session: PaymentSession, has_happened: bool
) -> None:
    services.cancel_payment_session(session)
    simulator.authorize(simulator.intents()[0].id)
    services.sync_payment_session(session)
    report = PaymentOperation.objects.get(status="attention")
    assert report.kind == "sync"
    with pytest.raises(InputError) as refusal:
        services.resolve_operation(
            report, has_happened=has_happened, reason="It is booked.", provider_reference="tx"
        )
    assert (refusal.value.code, refusal.value.field) == ("reference_not_expected", "provider_reference")
    resolved = services.resolve_operation(report, has_happened=has_happened, reason="The shopper was called.")
    assert not resolved.is_open
    assert our_books(session) == their_books(simulator, session)
    services.sync_payment_session(session)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.shows(
    "An operation that a person resolved as not done was done after all",
    "The provider's report is recorded all the same",
)
def test_later_fact_outdoes_a_person(simulator: SimulatorService, payment: Payment) -> None:
    simulator.script(operation="capture", fault="async")
    services.capture_payment(payment, amount="60.00")
    operation = PaymentOperation.objects.get(kind="capture")
    simulator.script(operation="retrieve", fault="error_500_before", times=6)
    for _look in range(6):
        operation = reconcile_operation(operation)
    assert operation.status == "attention"
    services.resolve_operation(operation, has_happened=False, reason="Not in the list.")
    simulator.settle(simulator.intents()[0].movements[0].id)
    services.sync_payment_session(payment.session)
    payment.refresh_from_db()
    operation.refresh_from_db()
    assert payment.captured_amount == 60
    assert operation.status == "succeeded"
    assert_invariants(payment.collection)
