"""The rules alone, in memory: whatever anybody does, answers or reports, the books are sound after every step."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest
from django.db import connection
from hypothesis import given, note, seed, settings
from hypothesis import strategies as st

from payments.models import PaymentCollection
from payments.providers import AuthorizeResult, CaptureResult, InitiateResult, PaymentContext, get_provider
from payments.services.ledger import claims
from payments.services.ledger.facts import apply_fact
from payments.services.ledger.records import _recorded as record
from payments.services.ledger.totals import refresh_totals
from payments.states import MovementStatus, OperationStatus, Outcome
from tests.ledger.shelf import Shelf, assert_sound
from tests.ledger.stories import STEP, Story
from tests.services.facts import captured
from tests.threads import SLOWNESS

pytestmark = pytest.mark.database_independent

PROVIDERS = pytest.mark.parametrize("is_honest", [True, False], ids=["an honest provider", "any provider"])

STORIES: Final = st.lists(st.binary(min_size=STEP, max_size=STEP), min_size=30, max_size=80)

STEPS: Final = 20_000
PER_MINUTE: Final = 100_000 // SLOWNESS

EVENTS: Final = {
    "collection.authorized",
    "collection.canceled",
    "collection.completed",
    "session.created",
    "session.updated",
    "session.requires_more",
    "session.authorized",
    "session.failed",
    "session.canceled",
    "payment.authorized",
    "payment.captured",
    "payment.refunded",
    "payment.released",
    "payment.canceled",
    "payment.charged_back",
    "payment.reinstated",
    "payment.expired",
    "capture.failed",
    "refund.failed",
    "operation.needs_attention",
    "fact.discrepancy",
}
"""What the stories of a provider that does anything come to, taken together."""


def stories(count: int, *, is_honest: bool, batch: int = 0) -> list[Story]:
    """Tell so many stories, other ones in each batch, and return those that were told."""
    told: list[Story] = []

    @seed(batch if "CI" in os.environ else secrets.randbits(32))
    @settings(max_examples=count)
    @given(steps=STORIES)
    def tell(steps: list[bytes]) -> None:
        story = Story(is_honest=is_honest)
        told.append(story)
        try:
            story.go_on(b"".join(steps))
        finally:
            note("\n".join(story.told))

    tell()
    return told


@PROVIDERS
def test_rules_keep_the_books_sound(is_honest: bool) -> None:
    stories(40, is_honest=is_honest)


@pytest.mark.thorough
@PROVIDERS
def test_rules_are_tried_by_the_hundred_thousand(is_honest: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Take a fifth of as many steps, the best hundred stories at that rate of the processor's minutes.

    A busy machine is slow, not wrong; and making up what happens costs no time of the rules.
    """
    steps, refused, rates, events = 0, 0, list[int](), set()
    while steps < STEPS:
        told = stories(100, is_honest=is_honest, batch=len(rates))
        steps += sum(story.steps for story in told)
        refused += sum(story.refused for story in told)
        rates.append(round(sum(story.steps for story in told) / sum(story.seconds for story in told) * 60))
        events |= {event_type for story in told for event_type, _to_status in story.shelf.events}
    with capsys.disabled():
        print(f"\n{rates} steps a minute: {steps:,} taken, {refused:,} of them refused")  # noqa: T201 - the result
    assert max(rates) >= PER_MINUTE
    assert is_honest or events >= EVENTS, EVENTS - events


def test_rules_run_with_the_database_closed() -> None:
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        connection.ensure_connection()
    story = Story(is_honest=True)
    story.go_on(bytes(value % 251 for value in range(60 * STEP)))
    assert story.steps > 40
    assert connection.connection is None or not connection.queries


def test_refusal_says_nothing_of_money_that_has_moved() -> None:
    books = Shelf.of(PaymentCollection(amount=Decimal(100), currency_code="eur")).open()

    def keep(rule: Callable[[], Any]) -> Any:
        result = rule()
        refresh_totals(books)
        books.close()
        return result

    session = keep(
        lambda: claims.insert_session(
            books, get_provider("card"), None, context=PaymentContext(), lifetime=None
        )
    )
    initiation = keep(lambda: claims.claim_initiation(books, session))
    keep(lambda: record(books, initiation, InitiateResult(outcome=Outcome.SUCCEEDED)))
    [authorization] = keep(lambda: claims.claim_authorization(books, session, {}))
    held = AuthorizeResult(outcome=Outcome.SUCCEEDED, amount=Decimal(100), currency_code="eur")
    keep(lambda: record(books, authorization, held))
    [operation] = keep(lambda: claims.claim_capture(books, books.payments[0], None))
    # A clerk takes 10.00 at the provider meanwhile, so that our own 100.00 are more than was held.
    keep(lambda: apply_fact(books, session, captured("10")))
    done = CaptureResult(outcome=Outcome.SUCCEEDED, amount=Decimal(100), currency_code="eur")
    keep(lambda: record(books, operation, done))
    assert operation.status == OperationStatus.ATTENTION

    keep(lambda: record(books, operation, CaptureResult(outcome=Outcome.DECLINED)))

    assert operation.status == OperationStatus.ATTENTION
    assert operation.capture.status == MovementStatus.SUCCEEDED
    assert_sound(books)
