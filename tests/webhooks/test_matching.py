"""An event finds the session it is about, however early it comes, and never one that isn't its provider's."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from payments import models, services
from payments.providers import RetrieveResult, SessionFact, WebhookResult
from payments.services.background import inbox
from payments.services.ledger.operations import Checkpoint, watching
from payments.simulator import SimulatorService
from payments.states import (
    MovementStatus,
    OperationKind,
    OperationStatus,
    Outcome,
    PaymentStatus,
    SessionStatus,
    WebhookEventStatus,
)
from payments.testing import Script, simulator_settings
from tests.reliability.books import assert_books_agree
from tests.reliability.clocks import moving_clock
from tests.webhooks.deliveries import (
    authorized_fact,
    bodies,
    books,
    deliver,
    hint,
    history,
    intent_of,
    only_event,
)


@pytest.mark.shows(
    "An event of a session that isn't ours, on an account that others share", "200; kept as ignored"
)
def test_an_event_of_an_unknown_session_is_ignored(
    session: models.PaymentSession, scripted_session: models.PaymentSession, script: Script
) -> None:
    before = books()
    script.next(
        "parse_webhook", hint(event_id="evt_f", session_id="payses_elsewhere", fact=authorized_fact())
    )
    assert deliver(b"{}", provider_id="scripted").status == 200
    event = only_event()
    assert (event.status, event.detail, event.session) == (WebhookEventStatus.IGNORED, "foreign", None)
    assert books() == before


@pytest.mark.shows(
    "A proven event of one provider that names a session of another", "ignored; no row is touched"
)
def test_an_event_never_reaches_another_provider_s_session(
    session: models.PaymentSession, simulator: SimulatorService
) -> None:
    simulator.authorize(intent_of(session))
    body, before = bodies(simulator, session)[0], books()
    with simulator_settings(simulator, alias="other", webhook_secrets=["whsec_other"]):
        assert deliver(body, provider_id="other", secrets=["whsec_other"]).status == 200
    assert (only_event().status, only_event().session) == (WebhookEventStatus.IGNORED, None)
    assert books() == before


@pytest.mark.shows("An event with another provider's reference", "never matched; ignored in the end")
def test_a_reference_is_looked_up_at_its_own_provider_only(
    session: models.PaymentSession, scripted_session: models.PaymentSession, script: Script
) -> None:
    before = books()
    script.next("parse_webhook", hint(provider_reference=intent_of(session), fact=authorized_fact()))
    assert deliver(b"{}", provider_id="scripted").status == 200
    assert only_event().status == WebhookEventStatus.DEFERRED
    assert books() == before


@pytest.mark.shows("An event that names neither session nor reference", "ignored; no row is touched")
def test_an_event_about_nothing_matches_nothing(
    scripted_session: models.PaymentSession, script: Script
) -> None:
    before = books()
    script.next("parse_webhook", hint(fact=authorized_fact()), hint(event_id="evt_2"))
    for _each in range(2):
        assert deliver(b"{}", provider_id="scripted").status == 200
    services.process_due_events()
    assert not scripted_session.webhook_events.exists()
    assert set(models.WebhookEvent.objects.values_list("status", flat=True)) == {WebhookEventStatus.IGNORED}
    assert books() == before


@pytest.mark.shows(
    "An event that only has a reference which we don't know yet", "deferred, and applied once we do"
)
def test_an_event_that_comes_before_its_reference_waits(
    scripted_session: models.PaymentSession, script: Script
) -> None:
    reference = scripted_session.provider_reference
    scripted_session.provider_reference = None
    scripted_session.save_fields("provider_reference")
    script.next("parse_webhook", hint(provider_reference=reference, fact=authorized_fact()))
    with moving_clock() as clock:
        assert deliver(b"{}", provider_id="scripted").status == 200
        assert (only_event().status, only_event().attempts) == (WebhookEventStatus.DEFERRED, 1)
        scripted_session.provider_reference = reference
        scripted_session.save_fields("provider_reference")
        clock.advance(inbox.PAUSES[1])
        assert services.process_due_events() == 1
    assert only_event().status == WebhookEventStatus.APPLIED
    scripted_session.refresh_from_db()
    assert scripted_session.status == SessionStatus.AUTHORIZED


@pytest.mark.shows(
    "An event whose reference nobody ever knows", "tried by the backoff, then ignored; replayable"
)
def test_an_event_whose_reference_stays_unknown_is_ignored_in_the_end(
    scripted_session: models.PaymentSession, script: Script
) -> None:
    script.next("parse_webhook", hint(provider_reference="intent_nobody_knows", fact=authorized_fact()))
    deliver(b"{}", provider_id="scripted")
    with moving_clock() as clock:
        tries = 0
        while (due_at := only_event().next_attempt_at) is not None:
            clock.advance_to(due_at)
            tries += services.process_due_events()
    assert only_event().status == WebhookEventStatus.IGNORED
    assert tries == len(inbox.PAUSES) - 1
    scripted_session.provider_reference = "intent_nobody_knows"
    scripted_session.save_fields("provider_reference")
    assert services.replay_webhook_event(only_event()).status == WebhookEventStatus.APPLIED


@pytest.mark.shows("An event that only names a capture", "finds its session; at its own provider only")
def test_an_event_finds_its_session_by_a_capture(payment: models.Payment, script: Script) -> None:
    session = another_session()
    capture_as("cap_1", session)
    capture_as("cap_2", payment.session)
    before = books()
    script.next(
        "parse_webhook",
        news(event_id="evt_ours", capture_reference="cap_1"),
        news(event_id="evt_other", capture_reference="cap_2"),
    )
    for _each in range(2):
        assert deliver(b"{}", provider_id="scripted").status == 200
    assert found() == {"evt_ours": session.pk, "evt_other": None}
    assert models.WebhookEvent.objects.get(event_id="evt_other").status == WebhookEventStatus.DEFERRED
    assert books() == before


@pytest.mark.shows("An event names a session and another one's capture", "the session counts")
def test_a_capture_is_what_a_session_is_looked_for_by_last(
    scripted_session: models.PaymentSession, script: Script
) -> None:
    capture_as("cap_1", scripted_session)
    second = another_session()
    script.next(
        "parse_webhook",
        news(event_id="evt_id", session_id=second.pk, capture_reference="cap_1"),
        news(event_id="evt_foreign", session_id="payses_elsewhere", capture_reference="cap_1"),
        news(event_id="evt_known", provider_reference=second.provider_reference, capture_reference="cap_1"),
        news(event_id="evt_unknown", provider_reference="intent_nobody_knows", capture_reference="cap_1"),
    )
    for _each in range(4):
        deliver(b"{}", provider_id="scripted")
    assert found() == {
        "evt_id": second.pk,
        "evt_foreign": None,
        "evt_known": second.pk,
        "evt_unknown": scripted_session.pk,
    }


@pytest.mark.shows("An event names a capture that two sessions have", "nobody guesses; ignored in the end")
def test_a_capture_that_several_sessions_have_names_none(
    scripted_session: models.PaymentSession, script: Script
) -> None:
    for session in (scripted_session, another_session()):
        capture_as("1", session)
    script.next("parse_webhook", news(event_id="evt_1", capture_reference="1"))
    deliver(b"{}", provider_id="scripted")
    assert found() == {"evt_1": None}
    assert only_event().status == WebhookEventStatus.DEFERRED


def test_a_capture_s_name_that_is_too_long_for_one_is_malformed(
    scripted_session: models.PaymentSession, script: Script
) -> None:
    script.next("parse_webhook", hint(capture_reference="x" * 256))
    answer = deliver(b"{}", provider_id="scripted")
    assert (answer.status, answer.code) == (400, "webhook_malformed")
    assert not models.WebhookEvent.objects.exists()


@pytest.mark.shows(
    "An event is about several sessions at once",
    "each is looked up at its provider, with no call in the request",
)
def test_an_event_about_several_sessions_has_each_looked_up(
    scripted_session: models.PaymentSession, script: Script
) -> None:
    sessions = [scripted_session, another_session(), another_session()]
    for number, session in enumerate(sessions, start=1):
        capture_as(f"cap_{number}", session)
    script.next(
        "parse_webhook",
        news(capture_reference="cap_of_nobody", other_captures=("cap_3", "cap_1", "cap_3", "cap_of_no_one")),
    )
    taken = SessionFact(currency_code="eur", captured_amount=Decimal(100), charged_back_amount=Decimal(7))
    script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=taken))
    asked = len(script.calls)
    assert deliver(b"{}", provider_id="scripted").status == 200
    assert [verb for verb, _request in script.calls[asked:]] == ["parse_webhook"]
    with moving_clock() as clock:
        clock.advance(inbox.PAUSES[0])
        services.process_due_events()
    assert [verb for verb, _request in script.calls[asked:]] == ["parse_webhook", "retrieve"]
    assert found() == {"evt_1": sessions[2].pk}
    for session, charged_back in zip(sessions, (7, 0, 0), strict=True):
        session.refresh_from_db()
        assert session.payment is not None
        assert session.payment.charged_back_amount == charged_back


def news(**values: Any) -> WebhookResult:
    """Return a verified event with a fact that changes nothing."""
    return hint(fact=SessionFact(currency_code="eur"), **values)


def found() -> dict[str, str | None]:
    """Return which session each event in the inbox was applied to."""
    return dict(models.WebhookEvent.objects.values_list("event_id", "session"))


def another_session() -> models.PaymentSession:
    """Return a session of another collection with the scripted provider."""
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    return services.create_payment_session(collection, provider_id="scripted")


def capture_as(reference: str, session: models.PaymentSession) -> None:
    """Capture a session's whole amount, which its provider calls this."""
    payment = session.payment or services.authorize_payment_session(session).payment
    assert payment is not None
    capture = services.capture_payment(payment).captures.get()
    capture.provider_reference = reference
    capture.save_fields("provider_reference")


def delivered_early(simulator: SimulatorService, verb: Callable[[], object]) -> None:
    """Run a verb, and have all events arrive after the provider acted, before its answer is recorded."""
    seen = len(simulator.events())

    def arrive(point: Checkpoint, operation: models.PaymentOperation) -> None:
        if point == Checkpoint.CALLED:
            for event in simulator.events()[seen:]:
                assert deliver(event.body.encode()).status == 200
            arrived.append(operation)

    arrived: list[models.PaymentOperation] = []
    with watching(arrive):
        verb()
    assert len(arrived) == 1
    assert len(simulator.events()) > seen


@pytest.mark.shows(
    "The webhook of an authorization before its own answer", "applied once; the answer is recognized"
)
def test_an_authorization_whose_event_is_faster_than_its_answer(
    session: models.PaymentSession, simulator: SimulatorService, collection: models.PaymentCollection
) -> None:
    delivered_early(simulator, lambda: services.authorize_payment_session(session))
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    assert history(session).count("session.authorized") == history(session).count("payment.authorized") == 1
    assert_one_success(session, OperationKind.AUTHORIZE)
    assert_books_agree(simulator, collection)


@pytest.mark.shows("The webhook of a capture before its own answer", "one capture, one event")
def test_a_capture_whose_event_is_faster_than_its_answer(
    payment: models.Payment, simulator: SimulatorService
) -> None:
    delivered_early(simulator, lambda: services.capture_payment(payment))
    (capture,) = models.Capture.objects.all()
    assert (capture.status, capture.amount) == (MovementStatus.SUCCEEDED, payment.amount)
    assert history(payment.session).count("payment.captured") == 1
    assert_one_success(payment.session, OperationKind.CAPTURE)
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows("The webhook of a refund before its own answer", "one refund, one event")
def test_a_refund_whose_event_is_faster_than_its_answer(
    payment: models.Payment, simulator: SimulatorService
) -> None:
    services.capture_payment(payment)
    delivered_early(simulator, lambda: services.refund_payment(payment))
    (refund,) = models.Refund.objects.all()
    assert (refund.status, refund.amount) == (MovementStatus.SUCCEEDED, payment.amount)
    assert history(payment.session).count("payment.refunded") == 1
    assert_one_success(payment.session, OperationKind.REFUND)
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows("The webhook of a cancelation before its own answer", "canceled once, one event")
def test_a_cancelation_whose_event_is_faster_than_its_answer(
    payment: models.Payment, simulator: SimulatorService
) -> None:
    delivered_early(simulator, lambda: services.cancel_payment(payment))
    assert payment.status == PaymentStatus.CANCELED
    assert history(payment.session).count("payment.canceled") == 1
    assert_one_success(payment.session, OperationKind.CANCEL)
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows("The webhook of a declined authorization before its own answer", "refused once, one event")
def test_a_decline_whose_event_is_faster_than_its_answer(
    session: models.PaymentSession, simulator: SimulatorService
) -> None:
    delivered_early(
        simulator, lambda: services.authorize_payment_session(session, data={"card": "card_declined"})
    )
    session.refresh_from_db()
    assert (session.status, session.error_code) == (SessionStatus.ERROR, "card_declined")
    assert history(session).count("session.failed") == 1


@pytest.mark.shows(
    "A webhook before the answer that opens its session", "the session keeps what only the answer tells"
)
def test_an_event_before_the_session_was_opened_does_not_cost_its_client_token(
    collection: models.PaymentCollection, script: Script
) -> None:
    def arrive(point: Checkpoint, operation: models.PaymentOperation) -> None:
        if (point, operation.kind) == (Checkpoint.CALLED, OperationKind.INITIATE):
            script.next("parse_webhook", hint(operation.session, fact=authorized_fact()))
            assert deliver(b"{}", provider_id="scripted").status == 200

    with watching(arrive):
        session = services.create_payment_session(collection, provider_id="scripted")
    assert only_event().status == WebhookEventStatus.APPLIED
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    assert session.data == {"client_token": f"token_{session.pk}"}
    assert session.provider_reference == f"scripted_{session.pk}"
    assert_one_success(session, OperationKind.INITIATE)


@pytest.mark.shows(
    "A webhook while its verb is claimed and not sent yet", "the verb goes on and is recorded once"
)
def test_a_report_between_claim_and_call_does_not_disturb_the_call(
    payment: models.Payment, simulator: SimulatorService
) -> None:
    def arrive(point: Checkpoint, operation: models.PaymentOperation) -> None:
        if point == Checkpoint.CLAIMED:
            for body in bodies(simulator, payment.session):
                assert deliver(body).status == 200

    with watching(arrive):
        services.capture_payment(payment)
    assert payment.status == PaymentStatus.CAPTURED
    assert_one_success(payment.session, OperationKind.CAPTURE)
    assert_books_agree(simulator, payment.collection)


def assert_one_success(session: models.PaymentSession, kind: OperationKind) -> None:
    """See that a session's only operation of a kind has succeeded."""
    (operation,) = session.operations.filter(kind=kind)
    assert operation.status == OperationStatus.SUCCEEDED
