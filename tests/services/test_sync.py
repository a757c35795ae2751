"""Asking the provider where a session stands."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db.models import QuerySet

from payments import services
from payments.exceptions import NotSupportedError, OutcomeUnknownError, ProviderUnavailableError
from payments.models import Payment, PaymentEvent, PaymentSession
from payments.providers import RetrieveResult, SessionFact
from payments.services import Origin
from payments.services.sync import synchronize
from payments.states import Outcome, SessionStatus
from payments.testing import Script
from tests.services.facts import AUTHORIZED, books, captured
from tests.services.results import found

pytestmark = pytest.mark.django_db


def test_what_the_provider_knows_is_recorded(session: PaymentSession, card: Script, staff: Any) -> None:
    card.next("retrieve", found(captured("60")))
    services.sync_payment_session(session, actor=staff, source="admin")
    assert session.payment is not None
    assert (session.status, session.payment.captured_amount) == ("authorized", Decimal(60))
    event = PaymentEvent.objects.get(type="payment.captured")
    assert (event.source, event.actor_label) == ("provider", "alice")


def test_provider_is_asked_about_the_session_as_it_is_now(session: PaymentSession, card: Script) -> None:
    stale = PaymentSession.objects.get(pk=session.pk)
    QuerySet(PaymentSession).filter(pk=session.pk).update(
        amount=Decimal(80), provider_reference="int_new", provider_data={"secret": "new"}
    )
    services.sync_payment_session(stale)
    (request,) = card.requests("retrieve")
    assert (request.session_id, request.amount, request.currency_code) == (session.pk, Decimal(80), "eur")
    assert (request.provider_reference, request.provider_data) == ("int_new", {"secret": "new"})


def test_session_that_the_provider_does_not_know_stays_as_it_is(session: PaymentSession) -> None:
    before = books()
    assert services.sync_payment_session(session) == session
    assert books() | {"PaymentEvent": []} == before | {"PaymentEvent": []}


def test_asking_twice_records_once(session: PaymentSession, card: Script) -> None:
    card.next("retrieve", found(AUTHORIZED), found(AUTHORIZED))
    services.sync_payment_session(session)
    before = books()
    services.sync_payment_session(session)
    assert books() == before
    assert Payment.objects.count() == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (ProviderUnavailableError("connection refused"), ProviderUnavailableError),
        (TimeoutError(), OutcomeUnknownError),
        (RetrieveResult(outcome=Outcome.DECLINED), OutcomeUnknownError),
    ],
)
def test_provider_that_gives_no_answer_changes_nothing(
    session: PaymentSession, card: Script, answer: Any, error: type[Exception]
) -> None:
    before = books()
    card.next("retrieve", answer)
    with pytest.raises(error):
        services.sync_payment_session(session)
    assert books() == before


def test_provider_that_cannot_be_asked_says_so(session: PaymentSession, card: Script) -> None:
    card.lacks.add("retrieve")
    with pytest.raises(NotSupportedError):
        services.sync_payment_session(session)
    assert card.requests("retrieve") == []


def test_retrieved_public_data_has_only_declared_keys(session: PaymentSession, card: Script) -> None:
    fact = SessionFact(
        currency_code="eur", status=SessionStatus.AUTHORIZED, data={"client_token": "t", "card": "4242"}
    )
    card.next("retrieve", found(fact))
    services.sync_payment_session(session)
    assert session.data == {"client_token": "t"}


def test_refused_key_is_told_to_operators_only(session: PaymentSession, card: Script) -> None:
    card.next("retrieve", *[ProviderUnavailableError("no", code="api_key_refused")] * 2)
    with pytest.raises(ProviderUnavailableError, match="refuses the shop's API key"):
        services.sync_payment_session(session, source="admin")
    with pytest.raises(ProviderUnavailableError, match="can't be reached right now"):
        services.sync_payment_session(session)


def test_that_the_provider_does_not_know_a_session_is_told_once(
    session: PaymentSession, card: Script, staff: Any
) -> None:
    for _ in range(2):
        assert not synchronize(session, origin=Origin.of(actor=staff, source="admin")).is_known
    event = PaymentEvent.objects.get(type="session.not_found")
    assert (event.session, event.source, event.actor_label) == (session, "admin", "alice")
    card.next("retrieve", found(AUTHORIZED))
    assert synchronize(session, origin=Origin.of()).is_known
    synchronize(session, origin=Origin.of())
    assert PaymentEvent.objects.filter(type="session.not_found").count() == 2
