"""Each event is stored before it is answered, once, and applied once, however it is delivered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from datetime import timezone as dt_timezone
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import InterfaceError, OperationalError, connection
from django.test import AsyncClient, Client
from django.utils import timezone

from payments import services
from payments.exceptions import ProviderUnavailableError
from payments.models import PaymentSession, WebhookEvent
from payments.providers import Failure
from payments.services.background import inbox
from payments.simulator import SimulatorService
from payments.simulator.webhooks import sign
from payments.states import SessionStatus, WebhookEventStatus
from payments.testing import Script
from tests.reliability.clocks import moving_clock
from tests.webhooks.deliveries import (
    SECRET,
    address,
    authorized_fact,
    bodies,
    books,
    deliver,
    hint,
    history,
    intent_of,
    only_event,
)


@pytest.fixture
def body(session: PaymentSession, simulator: SimulatorService) -> bytes:
    """Return the event that a session was authorized at the provider, of which we don't know yet."""
    simulator.authorize(intent_of(session))
    return bodies(simulator, session, "intent.authorized")[0]


@contextmanager
def failing(error: Exception, *words: str) -> Iterator[None]:
    """Have the database fail at every statement with all of these words."""

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if all(word in sql for word in words):
            raise error
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield


@pytest.mark.shows("The same event, 100 times", "100 × 200; one row, one effect")
def test_the_same_event_a_hundred_times_is_one(body: bytes, session: PaymentSession) -> None:
    first = deliver(body)
    after_one, past = books(), history(session)
    others = [deliver(body) for _copy in range(99)]
    assert {answer.status for answer in (first, *others)} == {200}
    assert not first.is_duplicate
    assert all(answer.is_duplicate for answer in others)
    assert WebhookEvent.objects.count() == 1
    assert books() == after_one
    assert past.count("session.authorized") == past.count("payment.authorized") == 1


def test_ids_that_differ_in_case_alone_are_two_events(
    scripted_session: PaymentSession, script: Script
) -> None:
    script.next("parse_webhook", hint(event_id="evt_a"), hint(event_id="EVT_A"), hint(event_id="evt_a"))
    answers = [deliver(b"{}", provider_id="scripted") for _each in range(3)]
    assert [answer.is_duplicate for answer in answers] == [False, False, True]


@pytest.mark.shows("The same event id from two providers", "two events: ids are each provider's own")
def test_two_providers_may_use_the_same_id(
    session: PaymentSession, body: bytes, scripted_session: PaymentSession, script: Script
) -> None:
    assert deliver(body).status == 200
    script.next("parse_webhook", hint(scripted_session, event_id=only_event().event_id))
    assert not deliver(b"{}", provider_id="scripted").is_duplicate
    assert WebhookEvent.objects.count() == 2


@pytest.mark.shows(
    "The database is away while an event is stored", "503 with Retry-After; the next delivery is taken"
)
@pytest.mark.parametrize("error", [OperationalError("server closed"), InterfaceError("closed already")])
def test_what_cannot_be_stored_is_never_answered_with_200(error: Exception, body: bytes) -> None:
    before = books()
    with failing(error, "INSERT INTO", "payments_webhookevent"):
        answer = deliver(body)
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert not WebhookEvent.objects.exists()
    assert books() == before
    assert not deliver(body).is_duplicate
    assert only_event().status == WebhookEventStatus.APPLIED


@pytest.mark.shows(
    "An event that only its provider could prove comes while that can't be reached",
    "503 with Retry-After, and nothing is stored; the next delivery is taken",
)
def test_what_cannot_be_proven_right_now_is_to_be_sent_again(
    scripted_session: PaymentSession, script: Script
) -> None:
    script.next("parse_webhook", ProviderUnavailableError("away"), hint(scripted_session))
    answer = deliver(b"{}", provider_id="scripted")
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert not WebhookEvent.objects.exists()
    assert deliver(b"{}", provider_id="scripted").status == 200


@pytest.mark.shows("The database is away before anything is looked up", "503 with Retry-After")
def test_a_database_that_is_away_from_the_start_is_503(body: bytes) -> None:
    with failing(OperationalError("no route"), ""):
        assert deliver(body).status == 503


@pytest.mark.shows("The database is away after an event is stored", "200; the worker applies it")
def test_what_is_stored_and_cannot_be_applied_is_left_to_the_worker(
    body: bytes, session: PaymentSession
) -> None:
    with failing(OperationalError("gone"), "payments_paymentcollection"):
        assert deliver(body).status == 200
    assert only_event().status == WebhookEventStatus.RECEIVED
    with moving_clock() as clock:
        assert services.process_due_events() == 0, "the worker leaves it to the receiver for a moment"
        clock.advance(inbox.PAUSES[0])
        assert services.process_due_events() == 1
    assert only_event().status == WebhookEventStatus.APPLIED
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED


@pytest.mark.shows(
    "The process dies after an event was stored, and the provider sends it again", "applied once"
)
def test_a_copy_of_an_event_that_was_never_applied_changes_nothing_yet(
    body: bytes, session: PaymentSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.webhooks.apply_at_once", lambda event: None)
    assert deliver(body).status == 200
    assert deliver(body).is_duplicate
    with moving_clock() as clock:
        clock.advance(inbox.PAUSES[0])
        services.process_due_events()
    assert history(session).count("session.authorized") == 1


@pytest.mark.shows(
    "An event that is only a hint, while the provider is slow", "200 at once; only the worker asks"
)
def test_the_view_never_calls_a_provider(scripted_session: PaymentSession, script: Script) -> None:
    script.next("parse_webhook", hint(scripted_session))
    asked = len(script.calls)
    assert deliver(b"{}", provider_id="scripted").status == 200
    assert [verb for verb, _request in script.calls[asked:]] == ["parse_webhook"]
    assert only_event().status == WebhookEventStatus.RECEIVED
    services.process_due_events()
    assert [verb for verb, _request in script.calls[asked:]] == ["parse_webhook", "retrieve"]


@pytest.mark.shows("ATOMIC_REQUESTS is on", "the event is stored and applied in transactions of its own")
@pytest.mark.django_db(transaction=True)
def test_atomic_requests_do_not_wrap_the_view(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with failing(OperationalError("gone"), "payments_paymentcollection"):
        assert deliver(body).status == 200
    assert only_event().status == WebhookEventStatus.RECEIVED, "kept, though applying it was rolled back"
    inbox.process_event(only_event())
    assert only_event().status == WebhookEventStatus.APPLIED


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/plain; charset=utf-16",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "nonsense",
    ],
)
def test_the_content_type_does_not_matter(content_type: str, body: bytes) -> None:
    assert deliver(body, content_type=content_type).status == 200
    assert only_event().status == WebhookEventStatus.APPLIED


def test_neither_session_nor_csrf_token_is_needed_or_made(body: bytes) -> None:
    assert not {"Set-Cookie", "Location"} & set(deliver(body).headers)


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
@pytest.mark.django_db
def test_only_post_is_allowed(method: str) -> None:
    response = getattr(Client(), method)(address())
    assert response.status_code == 405
    assert response["Allow"] == "POST"


@pytest.mark.shows("A webhook for a provider that isn't configured, or sends none", "404; nothing is stored")
@pytest.mark.parametrize("provider_id", ["nobody", "system", "Simulator"])
@pytest.mark.django_db
def test_an_unknown_provider_is_not_found(provider_id: str) -> None:
    answer = deliver(b"{}", provider_id=provider_id)
    assert (answer.status, answer.code) == (404, "not_found")
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_it_works_behind_asgi(body: bytes, session: PaymentSession) -> None:
    headers = {"simulator-signature": sign([SECRET], body, int(time.time()))}
    post = async_to_sync(AsyncClient().post)
    response = post(address(), body, content_type="application/json", headers=headers)
    assert response.status_code == 200
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED


@pytest.mark.shows(
    "Public keys in a reported fact that the provider never declared", "dropped before they are stored"
)
def test_a_fact_publishes_only_what_its_provider_declared(
    scripted_session: PaymentSession, script: Script
) -> None:
    fact = authorized_fact(data={"client_token": "tok", "network_secret": "s3cr3t"})
    script.next("parse_webhook", hint(scripted_session, fact=fact))
    assert deliver(b"{}", provider_id="scripted").status == 200
    scripted_session.refresh_from_db()
    assert scripted_session.data == {"client_token": "tok"}
    assert "s3cr3t" not in str(only_event().fact)


EVIL = f"&#{'1' * 5000};"


@pytest.mark.shows(
    "A signed event whose words are made to break what looks for card data", "200; stored, and applied"
)
def test_an_event_is_kept_whatever_its_words(scripted_session: PaymentSession, script: Script) -> None:
    fact = authorized_fact(failure=Failure(code="x", message=EVIL), data={"client_token": EVIL})
    script.next("parse_webhook", hint(scripted_session, fact=fact, payload={EVIL: EVIL}))
    assert deliver(b"{}", provider_id="scripted").status == 200
    assert (only_event().status, only_event().payload[EVIL]) == (WebhookEventStatus.APPLIED, EVIL)


@pytest.mark.shows("A signed event that can't be kept, for whatever reason", "400; nothing is stored")
@pytest.mark.parametrize("place", ["redact", "publishable_fact", "stored_moment"])
def test_an_event_that_cannot_be_kept_is_refused_as_one_that_cannot_be_read(
    place: str, scripted_session: PaymentSession, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_more: Any) -> None:
        raise ValueError("s3cr3t")

    monkeypatch.setattr(inbox, place, fail)
    fact = authorized_fact()
    script.next("parse_webhook", hint(scripted_session, fact=fact, occurred_at=timezone.now()))
    answer = deliver(b"{}", provider_id="scripted")
    assert (answer.status, answer.code) == (400, "webhook_malformed")
    assert not WebhookEvent.objects.exists()


def test_a_time_before_all_time_is_one_of_an_event_that_cannot_be_kept(
    scripted_session: PaymentSession, script: Script
) -> None:
    before = datetime(1, 1, 1, tzinfo=dt_timezone(timedelta(hours=5)))
    script.next("parse_webhook", hint(scripted_session, occurred_at=before))
    assert deliver(b"{}", provider_id="scripted").status == 400


def test_a_database_that_fails_while_an_event_is_read_makes_it_no_malformed_one(
    scripted_session: PaymentSession, script: Script
) -> None:
    script.next("parse_webhook", hint(scripted_session))
    with failing(OperationalError("gone"), "payments_paymentsession"):
        assert deliver(b"{}", provider_id="scripted").status == 503


def test_what_operators_may_read_of_an_event_holds_no_private_data(
    body: bytes, session: PaymentSession
) -> None:
    deliver(body)
    session.refresh_from_db()
    token = session.provider_data["network_token"]
    assert token in str(only_event().fact), "it is kept, for replay"
    assert token not in str(only_event().payload)
