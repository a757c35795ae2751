"""A session is authorized once more, after a refusal or with a code: it waits, and late reports end nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from payments.exceptions import OutcomeUnknownError
from payments.models import PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import AuthorizeResult, Failure, RetrieveResult
from payments.services import authorize_payment_session
from payments.services.background.reconciler import reconcile_operation
from payments.states import Outcome
from payments.testing import Script
from tests.services.facts import AUTHORIZED, REFUSED, REQUIRES_MORE, tell
from tests.services.results import CHALLENGE

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

DECLINED = AuthorizeResult(outcome=Outcome.DECLINED, failure=Failure(code="card_declined", message="No."))
REFUSED_AGAIN = replace(REFUSED, failure=Failure(code="expired_card", message="Too old."))


@pytest.fixture
def refused(session: PaymentSession, card: Script) -> PaymentSession:
    """Return a session whose first authorization was refused."""
    card.next("authorize", DECLINED)
    authorize_payment_session(session)
    assert (session.status, session.error_code) == ("error", "card_declined")
    return session


@pytest.fixture
def challenged(session: PaymentSession, card: Script) -> PaymentSession:
    """Return a session whose bank has asked for a code."""
    card.next("authorize", AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=CHALLENGE))
    authorize_payment_session(session)
    assert session.status == "requires_more"
    return session


def try_again(session: PaymentSession, card: Script, outcome: Outcome) -> PaymentOperation:
    card.next("authorize", AuthorizeResult(outcome=outcome))
    try:
        authorize_payment_session(session)
    except OutcomeUnknownError:
        session.refresh_from_db()
    return PaymentOperation.objects.open().get(kind="authorize")


def state(session: PaymentSession, operation: PaymentOperation) -> tuple[str, str, str]:
    session.refresh_from_db()
    operation.refresh_from_db()
    return str(session.status), session.error_code, str(operation.status)


@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.UNKNOWN])
def test_it_waits_and_does_not_say_how_the_first_attempt_ended(
    refused: PaymentSession, card: Script, outcome: Outcome
) -> None:
    operation = try_again(refused, card, outcome)

    assert state(refused, operation) == ("pending", "", outcome)
    newest = PaymentEvent.objects.filter(type="session.updated").latest("pk")
    assert (newest.from_status, newest.to_status) == ("error", "pending")


@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.UNKNOWN])
def test_it_waits_while_the_bank_checks_what_was_entered(
    challenged: PaymentSession, card: Script, outcome: Outcome
) -> None:
    operation = try_again(challenged, card, outcome)

    assert state(challenged, operation) == ("pending", "", outcome)
    assert challenged.next_action is None


@pytest.mark.shows(
    "That a code is needed is reported late, when the payer has entered it already",
    "The attempt with the code goes on",
)
@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.UNKNOWN])
def test_a_late_report_that_a_code_is_needed_changes_nothing(
    challenged: PaymentSession, card: Script, outcome: Outcome
) -> None:
    before = timezone.now()
    operation = try_again(challenged, card, outcome)

    tell(challenged, replace(REQUIRES_MORE, occurred_at=before))

    assert state(challenged, operation) == ("pending", "", outcome)


def test_a_code_that_may_never_have_arrived_is_sent_again(challenged: PaymentSession, card: Script) -> None:
    operation = try_again(challenged, card, Outcome.UNKNOWN)
    card.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=REQUIRES_MORE))

    reconcile_operation(operation)

    assert state(challenged, operation) == ("authorized", "", "succeeded")


def test_a_bank_may_ask_for_another_code(challenged: PaymentSession, card: Script) -> None:
    operation = try_again(challenged, card, Outcome.PENDING)

    tell(challenged, replace(REQUIRES_MORE, occurred_at=timezone.now() + timedelta(seconds=1)))

    assert state(challenged, operation) == ("requires_more", "", "succeeded")
    assert challenged.next_action is not None


@pytest.mark.shows(
    "A refusal is reported late, while another attempt is under way",
    "The attempt goes on: a refusal from before it isn't its own",
)
@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.UNKNOWN])
def test_a_late_report_of_the_first_refusal_changes_nothing(
    refused: PaymentSession, card: Script, outcome: Outcome
) -> None:
    before = timezone.now()
    operation = try_again(refused, card, outcome)

    tell(refused, replace(REFUSED, occurred_at=before))

    assert state(refused, operation) == ("pending", "", outcome)


@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.UNKNOWN])
def test_a_report_of_the_second_refusal_ends_it(
    refused: PaymentSession, card: Script, outcome: Outcome
) -> None:
    operation = try_again(refused, card, outcome)

    tell(refused, replace(REFUSED_AGAIN, occurred_at=timezone.now() + timedelta(seconds=1)))

    assert state(refused, operation) == ("error", "expired_card", "declined")


@pytest.mark.shows(
    "A second attempt is refused after a while, and no webhook tells of it",
    "The reconciler finds it out, and the payer may try a third time",
)
def test_the_reconciler_ends_what_the_provider_had_accepted_and_then_refused(
    refused: PaymentSession, card: Script
) -> None:
    operation = try_again(refused, card, Outcome.PENDING)
    card.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=REFUSED_AGAIN))

    reconcile_operation(operation)

    assert state(refused, operation) == ("error", "expired_card", "declined")
    assert authorize_payment_session(refused).payment is not None


def test_what_may_never_have_arrived_is_sent_again_and_not_taken_for_refused(
    refused: PaymentSession, card: Script
) -> None:
    operation = try_again(refused, card, Outcome.UNKNOWN)
    card.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=REFUSED))

    reconcile_operation(operation)

    assert state(refused, operation) == ("authorized", "", "succeeded")
    keys = [request.idempotency_key for request in card.requests("authorize")]
    assert keys[1] == keys[2] != keys[0]


def test_a_late_success_is_recorded_after_all(refused: PaymentSession, card: Script) -> None:
    operation = try_again(refused, card, Outcome.PENDING)

    tell(refused, AUTHORIZED)

    assert state(refused, operation) == ("authorized", "", "succeeded")
