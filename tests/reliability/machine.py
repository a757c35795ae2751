"""A state machine that does whatever shops, shoppers, banks and bad luck do, in any order.

Verbs are called, fail, lie and die half-way; webhooks come twice, late and out of order; time jumps. After every step
the books must make sense; in the end, when the dust has settled, they must say what the simulator's ledger says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from payments import models
from payments.exceptions import PaymentError
from payments.ids import new_id
from payments.money import from_minor_units
from payments.services import (
    ResolvedPayable,
    authorize_payment_session,
    cancel_payment,
    cancel_payment_collection,
    cancel_payment_session,
    capture_payment,
    check_operation,
    correct_operation,
    create_payment_session,
    mark_payment_collection_as_paid,
    open_payment_collection,
    process_due_events,
    publish_due,
    reconcile_due,
    refund_payment,
    resolve_operation,
    sync_payment_session,
    update_payment_collection,
    update_payment_session,
)
from payments.services.background.summaries import forget_all, sum_ended_days
from payments.services.ledger.operations import Checkpoint, watching
from payments.services.operations import check_resolvable
from payments.simulator import SimulatorService
from payments.simulator.errors import ServiceError
from payments.states import OPEN_OPERATION_STATUSES, OperationKind, OperationStatus, WebhookEventStatus
from tests.reliability.afterwards import UNPROCESSED, let_time_pass
from tests.reliability.books import (
    assert_books_agree,
    assert_invariants,
    assert_references_moved_once,
    our_books,
    row_counts,
    their_books,
)
from tests.reliability.clocks import TestClock
from tests.reliability.crashes import ProcessDied
from tests.reliability.operators import (
    correct_what_was_said,
    deliver,
    deliver_everything,
    said_by_persons,
    say_of_hold,
    see_to_attention,
    settle_everything,
)
from tests.shop.models import Order

CURRENCIES = st.sampled_from(["eur", "jpy", "kwd"])
CARDS = st.sampled_from(
    [
        "card_ok",
        "card_3ds",
        "card_declined",
        "card_partial",
        "card_async",
        "card_async_declined",
        "card_error",
        "card_garbage",
    ]
)
FAULTS = st.sampled_from(
    [
        ("drop_before", {}),
        ("drop_after", {}),
        ("error_500_before", {}),
        ("error_500_after", {}),
        ("garbage", {"acted": True}),
        ("rate_limited", {}),
        ("decline", {}),
        ("sticky_500", {"acted": True}),
        ("sticky_500", {"acted": False}),
        ("async", {}),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Luck:
    """Say how the provider misbehaves in the next request of a verb, and where the process dies, if either."""

    fault: tuple[str, dict[str, Any]] | None = None
    point: Checkpoint | None = None
    is_silent: bool = False


OPEN = (OperationStatus.UNKNOWN, OperationStatus.ATTENTION, OperationStatus.PENDING)
OVER = (OperationStatus.SUCCEEDED, OperationStatus.DECLINED)
MOVING = (OperationKind.CAPTURE, OperationKind.REFUND)

_WRITES = ("initiate", "update", "authorize", "capture", "refund", "cancel")
_APPLIES = {"decline": _WRITES, "sticky_500": _WRITES, "async": ("authorize", "capture", "refund")}

GOOD_LUCK = Luck()
LUCK = st.one_of(
    st.just(GOOD_LUCK),
    st.builds(Luck, fault=FAULTS, is_silent=st.booleans()),
    st.builds(Luck, point=st.sampled_from(list(Checkpoint))),
    st.builds(Luck, fault=FAULTS, point=st.sampled_from(list(Checkpoint))),
)
ACTS = st.sampled_from(
    [
        "answer_challenge",
        "reject_challenge",
        "settle",
        "fail",
        "authorize",
        "decline",
        "capture",
        "refund",
        "cancel",
        "chargeback",
    ]
)
AMOUNTS = st.integers(min_value=1, max_value=100_000)
PICKS = st.integers(min_value=0, max_value=2)
SHARES = st.sampled_from([None, 1, 20, 30, 50, 60, 100, 110])
NAMES = st.sampled_from([None, None, "mistyped", 0, 1])
"""Under which reference an operator books something: none, a wrong one, or that of one of the provider's movements."""
JUMPS = st.sampled_from(
    [timedelta(seconds=61), timedelta(minutes=6), timedelta(hours=2), timedelta(hours=25)]
)


def steps() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """Return what may happen next, the more likely the more often it is listed."""
    pick, luck = {"pick": PICKS}, {"luck": LUCK}
    weighted: list[tuple[int, str, dict[str, st.SearchStrategy[Any]]]] = [
        (3, "create_session", {"share": SHARES, **luck}),
        (2, "update_session", {"share": SHARES, **pick, **luck}),
        (1, "update_collection", {"share": st.integers(min_value=50, max_value=150), **luck}),
        (6, "authorize", {"card": CARDS, **pick, **luck}),
        (1, "enter_code", pick | luck),
        (6, "capture", {"share": SHARES, **pick, **luck}),
        (5, "refund", {"share": SHARES, **pick, **luck}),
        (2, "cancel_payment", pick | luck),
        (1, "cancel_session", pick | luck),
        (1, "cancel_collection", luck),
        (1, "sync", pick),
        (3, "payer_creates", {"share": SHARES, **luck}),
        (2, "payer_updates", {"share": SHARES, **pick, **luck}),
        (3, "payer_authorizes", {"card": CARDS, **pick, **luck}),
        (3, "payer_cancels", pick | luck),
        (2, "order_changes", {"share": st.integers(min_value=50, max_value=150), **luck}),
        (2, "check_now", pick),
        (3, "resolve", {"has_happened": st.booleans(), "share": SHARES, "name": NAMES, **pick}),
        (2, "correct", {"has_happened": st.booleans(), "share": SHARES, "name": NAMES, **pick}),
        (3, "say_of_hold", {"has_happened": st.booleans(), **pick}),
        (1, "mark_as_paid", {"share": SHARES}),
        (1, "order_changes_hands", {"customer": st.sampled_from(["ann", "ben", None]), **luck}),
        (5, "act_at_provider", {"act": ACTS, **pick}),
        (4, "deliver", {"picks": st.lists(st.integers(min_value=0, max_value=40), min_size=1, max_size=4)}),
        (6, "let_time_pass", {"jump": JUMPS, "is_anybody_there": st.booleans(), **luck}),
    ]
    choices = [
        st.tuples(st.just(name), st.fixed_dictionaries(arguments))
        for weight, name, arguments in weighted
        for _ in range(weight)
    ]
    return st.one_of(choices)


class PaymentMachine(RuleBasedStateMachine):
    """One collection in a world where everything can happen."""

    def __init__(self, service: SimulatorService, clock: TestClock) -> None:
        super().__init__()
        self.service = service
        self.clock = clock
        self.counts: dict[str, int] = {}
        self.steps = 0

    @initialize(
        amount=AMOUNTS, currency=CURRENCIES, progress=st.integers(min_value=1, max_value=3), share=SHARES
    )
    def open(self, amount: int, currency: str, progress: int, share: int | None) -> None:
        """Start with a world in which nothing has gone wrong yet: a session, a payment, perhaps a capture."""
        forget_earlier_examples()
        self.service.reset()
        self.clock.advance(-self.clock.offset)
        self.order = Order.objects.create(
            number=new_id("order"), total=from_minor_units(amount, currency), currency_code=currency
        )
        self.collection, _is_new = open_payment_collection(self._resolved(), by_payer=True)
        self.create_session(share=share, luck=GOOD_LUCK)
        if progress > 1:
            self.authorize(pick=0, card="card_ok", luck=GOOD_LUCK)
        if progress > 2:
            self.capture(pick=0, share=share, luck=GOOD_LUCK)

    @rule(step=steps())
    def go_on(self, step: tuple[str, dict[str, Any]]) -> None:
        """Do one of the things below: a single rule, so that none of them is switched off for a whole example."""
        name, arguments = step
        self.steps += 1
        getattr(self, name)(**arguments)

    # What the shop does

    def create_session(self, share: int | None, luck: Luck) -> None:
        """Start paying, with a part or with all that is left."""
        amount = self._share(self.collection.amount, share)
        self._attempt(
            "initiate",
            luck,
            lambda: create_payment_session(self.collection, provider_id="simulator", amount=amount),
        )

    def update_session(self, pick: int, share: int | None, luck: Luck) -> None:
        """Change what a session is for."""
        amount = self._share(self.collection.amount, share)
        self._with_session(
            "update", luck, pick, lambda session: update_payment_session(session, amount=amount, data={})
        )

    def update_collection(self, share: int, luck: Luck) -> None:
        """Change the cart."""
        amount = self._share(self.collection.amount, share)
        if amount:
            self._attempt("update", luck, lambda: update_payment_collection(self.collection, amount=amount))

    def authorize(self, pick: int, card: str, luck: Luck) -> None:
        """Let the shopper pay."""
        self._with_session(
            "authorize", luck, pick, lambda session: authorize_payment_session(session, data={"card": card})
        )

    def enter_code(self, pick: int, luck: Luck) -> None:
        """Let the shopper send the code that the bank asked for."""
        self._with_session(
            "authorize",
            luck,
            pick,
            lambda session: authorize_payment_session(session, data={"code": "123456"}),
        )

    def capture(self, pick: int, share: int | None, luck: Luck) -> None:
        """Take what is held, or a part of it."""
        self._with_payment(
            "capture",
            luck,
            pick,
            lambda row: capture_payment(row, amount=self._share(row.amount, share), despite_unclear=True),
        )

    def refund(self, pick: int, share: int | None, luck: Luck) -> None:
        """Give back what was taken, or a part of it."""
        self._with_payment(
            "refund",
            luck,
            pick,
            lambda row: refund_payment(row, amount=self._share(row.amount, share), despite_unclear=True),
        )

    def cancel_payment(self, pick: int, luck: Luck) -> None:
        """Let go of what is held."""
        self._with_payment("cancel", luck, pick, cancel_payment)

    def cancel_session(self, pick: int, luck: Luck) -> None:
        """Abandon a session."""
        self._with_session("cancel", luck, pick, cancel_payment_session)

    def cancel_collection(self, luck: Luck) -> None:
        """Abandon it all."""
        self._attempt("cancel", luck, lambda: cancel_payment_collection(self.collection))

    def sync(self, pick: int) -> None:
        """Ask the provider."""
        self._with_session("retrieve", GOOD_LUCK, pick, sync_payment_session)

    # What operators find out, or believe to

    def check_now(self, pick: int) -> None:
        """Have an operator ask at once what became of an operation."""
        self._with_operation(pick, OPEN, check_operation)

    def resolve(self, pick: int, has_happened: bool, share: int | None, name: int | str | None) -> None:
        """Have an operator say what became of an operation, rightly or not, with any amount."""
        self._with_operation(
            pick, OPEN, lambda row: self._say(resolve_operation, row, has_happened, share, name)
        )

    def correct(self, pick: int, has_happened: bool, share: int | None, name: int | str | None) -> None:
        """Have an operator say otherwise."""
        self._with_operation(
            pick, OVER, lambda row: self._say(correct_operation, row, has_happened, share, name)
        )

    def say_of_hold(self, pick: int, has_happened: bool) -> None:
        """Have an operator find out that money is held, and take that back by mistake, or say so again."""
        found = models.PaymentOperation.objects.filter(
            collection=self.collection, kind=OperationKind.AUTHORIZE
        )
        said = found.filter(status__in=OVER).exclude(resolution_reason="")
        still_open = filter(_can_be_resolved, found.filter(status__in=OPEN).order_by("id"))
        rows = [*still_open, *said.order_by("id")]
        rows = [row for row in rows if self.service.totals(row.session_id).authorized]
        if rows:
            row = rows[pick % len(rows)]
            is_said = has_happened or row.is_open
            self._attempt("", GOOD_LUCK, lambda: say_of_hold(self.service, row, has_happened=is_said))

    def mark_as_paid(self, share: int | None) -> None:
        """Have an operator receive a part, or all, by a transfer."""
        amount = self._share(self.collection.amount, share)
        self._attempt("", GOOD_LUCK, lambda: mark_payment_collection_as_paid(self.collection, amount=amount))

    def _with_operation(
        self, pick: int, statuses: Collection[str], act: Callable[[models.PaymentOperation], object]
    ) -> None:
        found = models.PaymentOperation.objects.filter(collection=self.collection, status__in=statuses)
        # A wrong word on anything else stays wrong: only these can be corrected.
        rows = list(found.filter(kind__in=MOVING).order_by("created_at", "id"))
        if rows:
            self._attempt("retrieve", GOOD_LUCK, lambda: act(rows[pick % len(rows)]))

    def _say(
        self,
        verb: Callable[..., object],
        row: models.PaymentOperation,
        has_happened: bool,
        share: int | None,
        name: int | str | None,
    ) -> None:
        amount = self._share(row.amount, share) if has_happened else None
        if isinstance(name, int):
            intents = self.service.intents(reference=row.session_id)
            moved = [each.id for intent in intents for each in intent.movements if each.kind == row.kind]
            name = moved[name % len(moved)] if moved else None
        reason = "Somebody has looked."
        verb(row, has_happened=has_happened, amount=amount, provider_reference=name, reason=reason)

    # What payers do for themselves, and what becomes of their order

    def payer_creates(self, share: int | None, luck: Luck) -> None:
        """Have a payer start to pay."""
        amount = self._share(self.collection.amount, share)
        self._by_payer(
            "initiate",
            luck,
            lambda: create_payment_session(
                self.collection, provider_id="simulator", amount=amount, by_payer=True
            ),
        )

    def payer_updates(self, pick: int, share: int | None, luck: Luck) -> None:
        """Have a payer change a part."""
        amount = self._share(self.collection.amount, share)
        session = self._session(pick)
        if session is not None:
            self._by_payer(
                "update", luck, lambda: update_payment_session(session, amount=amount, data={}, by_payer=True)
            )

    def payer_authorizes(self, pick: int, card: str, luck: Luck) -> None:
        """Have a payer pay."""
        self._with_session(
            "authorize",
            luck,
            pick,
            lambda session: authorize_payment_session(session, data={"card": card}, by_payer=True),
        )

    def payer_cancels(self, pick: int, luck: Luck) -> None:
        """Have a payer drop a session, or try to."""
        session = self._session(pick)
        if session is not None:
            self._by_payer("cancel", luck, lambda: cancel_payment_session(session, by_payer=True))

    def order_changes(self, share: int, luck: Luck) -> None:
        """Have the order grow or shrink, and its payer open it anew."""
        total = self._share(self.order.total, share)
        assert total is not None
        self.order.total = total
        self.order.save()
        self._open_anew(luck)

    def order_changes_hands(self, customer: str | None, luck: Luck) -> None:
        """Have the order be somebody else's, who opens it."""
        users = get_user_model().objects
        self.order.customer = None if customer is None else users.get_or_create(username=customer)[0]
        self.order.save()
        self._open_anew(luck)

    def _open_anew(self, luck: Luck) -> None:
        held = self._held()
        self._attempt(
            "cancel",
            luck,
            lambda: open_payment_collection(self._resolved(), source="storefront", by_payer=True),
        )
        assert self._held() >= held, "opening an order has let go of what was held"
        newest = models.PaymentCollection.objects.for_payable(self.order).order_by("created_at", "id").last()
        if newest is not None and newest.pk != self.collection.pk:
            self.collection, self.counts = newest, {}

    def _by_payer(self, operation: str, luck: Luck, act: Callable[[], object]) -> None:
        """Have a payer do what can't lower what is held, for the shop may have been told of that and have shipped."""
        held = self._held()
        self._attempt(operation, luck, act)
        assert self._held() >= held, "a payer has let go of what was held"

    def _held(self) -> Decimal:
        self.collection.refresh_from_db()
        return Decimal(self.collection.authorized_amount)

    def _resolved(self) -> ResolvedPayable:
        return ResolvedPayable(
            payable=self.order,
            amount=self.order.total,
            currency_code=self.order.currency_code,
            customer=self.order.customer,
        )

    # What the shopper and the banks do

    def act_at_provider(self, pick: int, act: str) -> None:
        """Let the shopper answer the bank, the bank settle what is pending, or a clerk use the dashboard."""
        intents = self.service.intents()
        if intents:
            intent = intents[pick % len(intents)]
            # What is pending, or what failed after it had succeeded, is the last movement, if there is one.
            takes_movement = act in ("settle", "fail") and bool(intent.movements)
            verb: Callable[[str], object] = getattr(self.service, act)
            with suppress(ServiceError):
                verb(intent.movements[-1].id if takes_movement else intent.id)

    # The post, and time

    @rule(picks=st.lists(st.integers(min_value=0, max_value=40), min_size=1, max_size=4))
    def deliver(self, picks: list[int]) -> None:
        """Deliver events: in any order, some late, some again."""
        events = self.service.events()
        for pick in picks:
            if events:
                deliver(self.service, events[pick % len(events)])

    def let_time_pass(self, jump: timedelta, is_anybody_there: bool, luck: Luck) -> None:
        """Let time pass, and the background work run, unless all workers are down."""
        self.clock.advance(jump)
        if is_anybody_there:
            self._attempt("retrieve", luck, reconcile_due)
            process_due_events()
            publish_due()
            sum_ended_days(limit=5)

    # What must hold

    @invariant()
    def books_make_sense(self) -> None:
        """Hold the rows against each other, and never above what the provider has taken."""
        if not hasattr(self, "collection"):
            return
        assert_invariants(self.collection)
        counts = row_counts(self.collection)
        assert all(counts[model] >= count for model, count in self.counts.items()), "a row is gone"
        self.counts = counts
        for session in self.collection.sessions.exclude(provider="system"):
            assert_references_moved_once(self.service, session)
            ours, theirs = our_books(session), their_books(self.service, session)
            assert ours.captured - said_by_persons(session) <= theirs.captured
            assert ours.charged_back <= theirs.charged_back

    def teardown(self) -> None:
        """Let everything come to its end, and hold the books against the ledger."""
        if not self.steps:
            return
        self.service.clear_scenarios()
        for _round in range(2):  # What is sent again may be pending again.
            let_time_pass(self.clock)
            settle_everything(self.service)
            deliver_everything(self.service)
        let_time_pass(self.clock)
        see_to_attention(self.service, self.collection)
        correct_what_was_said(self.service, self.collection)
        self.books_make_sense()
        assert not models.PaymentOperation.objects.open().filter(collection=self.collection).exists()
        assert not models.PaymentEvent.objects.filter(collection=self.collection, published_at=None).exists()
        assert_books_agree(self.service, self.collection)

    # Doing it

    def _attempt(self, operation: str, luck: Luck, act: Callable[[], object]) -> None:
        """Do something that may be refused, answered badly, and cut off."""
        if luck.fault is not None and operation in _APPLIES.get(luck.fault[0], (*_WRITES, "retrieve")):
            self.service.script(operation=operation, fault=luck.fault[0], times=1, **luck.fault[1])
        if luck.is_silent:
            self.service.script(operation="retrieve", fault="error_500_before")

        def die(reached: Checkpoint, operation: models.PaymentOperation) -> None:
            if reached == luck.point:
                raise ProcessDied(reached)

        with watching(die), suppress(PaymentError, ProcessDied):
            act()

    def _with_session(
        self, operation: str, luck: Luck, pick: int, act: Callable[[models.PaymentSession], object]
    ) -> None:
        session = self._session(pick)
        if session is not None:
            self._attempt(operation, luck, lambda: act(session))

    def _session(self, pick: int) -> models.PaymentSession | None:
        sessions = sorted(self.collection.sessions.order_by("created_at", "id"), key=_is_over)
        return sessions[pick % len(sessions)] if sessions else None

    def _with_payment(
        self, operation: str, luck: Luck, pick: int, act: Callable[[models.Payment], object]
    ) -> None:
        payments = sorted(self.collection.payments.order_by("created_at", "id"), key=_is_over)
        if payments:
            self._attempt(operation, luck, lambda: act(payments[pick % len(payments)]))

    def _share(self, amount: Decimal, percent: int | None) -> Decimal | None:
        """Return a share of an amount, at the currency's precision; None for all of it."""
        unit = from_minor_units(1, self.collection.currency_code)
        return None if percent is None else max(amount * percent / 100 // unit * unit, unit)


def _is_over(row: models.PaymentSession | models.Payment) -> bool:
    """Return whether little can be done with a row any more; such rows are rarely picked."""
    return row.status in ("canceled", "refunded") or (
        isinstance(row, models.PaymentSession) and not row.is_unauthorized
    )


def _can_be_resolved(operation: models.PaymentOperation) -> bool:
    """Return whether a person may say what became of an operation, which they can't in its first minutes."""
    try:
        check_resolvable(operation)
    except PaymentError:
        return False
    return True


def forget_earlier_examples() -> None:
    """Leave nothing to do of what an example that failed has left behind."""
    leftovers: QuerySet[models.PaymentOperation] = QuerySet(models.PaymentOperation).filter(
        status__in=sorted(OPEN_OPERATION_STATUSES)
    )
    leftovers.update(status="declined", error_code="declined", in_flight_key=None, finished_at=timezone.now())
    models.PaymentEvent.objects.unpublished().update(published_at=timezone.now())
    unprocessed: QuerySet[models.WebhookEvent] = QuerySet(models.WebhookEvent).filter(status__in=UNPROCESSED)
    unprocessed.update(status=WebhookEventStatus.IGNORED, next_attempt_at=None)
    forget_all()  # these updates, and a clock that begins anew, change days that were added up
