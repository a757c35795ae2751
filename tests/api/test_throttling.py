"""Limits against those who test stolen cards: so many, and not one more, until the time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.throttling import BaseThrottle

from payments import providers, services
from payments.api import throttling
from payments.api.storefront.access import client_secret
from payments.conf import Rate, throttle_rate
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession
from payments.states import Outcome, SessionStatus
from payments.testing import Script
from tests.api.client import Answer, Visitor
from tests.api.conftest import MakeOrder
from tests.api.pairs import daily
from tests.api.routes import STOREFRONT, filled, keys_of
from tests.threads import times

pytestmark = pytest.mark.django_db

SetRates = Callable[..., None]
DECLINED = providers.AuthorizeResult(outcome=Outcome.DECLINED, failure=providers.Failure(code="declined"))


def authorized(request: Any) -> providers.AuthorizeResult:
    return providers.AuthorizeResult(
        outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
    )


def needs_more(request: Any) -> providers.AuthorizeResult:
    action = providers.NextAction(type="redirect", url="https://bank.example/3ds")
    return providers.AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=action)


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def set_rates(settings: Any) -> SetRates:
    """Return a function that sets THROTTLES, and other settings."""

    def set_rates(*, other: dict[str, Any] | None = None, **rates: str | None) -> None:
        settings.PAYMENTS = {**settings.PAYMENTS, "THROTTLES": rates, **(other or {})}

    return set_rates


def create_session(visitor: Visitor, collection: PaymentCollection) -> Answer:
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    return visitor.post(path, {"provider_id": "scripted"})


def authorize(visitor: Visitor, session: PaymentSession, script: Script) -> Answer:
    script.next("authorize", DECLINED)
    return visitor.post(f"storefront/payment-sessions/{session.pk}/authorize/", {"data": {"token": "t"}})


@pytest.mark.database_independent
def test_so_many_sessions_and_not_one_more(
    guest: Visitor, collection: PaymentCollection, set_rates: SetRates, row_counts: Any, script: Script
) -> None:
    set_rates(SESSIONS_PER_COLLECTION="3/hour")
    assert [create_session(guest, collection).status for _ in range(3)] == [201] * 3
    before, calls = row_counts(), len(script.calls)

    refused = create_session(guest, collection)

    assert refused.error == (429, "throttled", "too_many_sessions", [])
    assert 3590 <= int(refused.headers["Retry-After"]) <= 3600
    assert (row_counts(), len(script.calls)) == (before, calls)
    services.create_payment_session(collection, provider_id="scripted")  # the shop's own code may go on


def test_a_session_counts_until_its_hour_is_over(
    guest: Visitor, collection: PaymentCollection, set_rates: SetRates, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_rates(SESSIONS_PER_COLLECTION="2/hour")
    started = timezone.now()
    clock = {"now": started}
    for minutes in (0, 20):
        assert create_session(guest, collection).status == 201
        newest = PaymentEvent.objects.filter(type="session.created").latest("id")
        _date_back(newest, started + timedelta(minutes=minutes))

    monkeypatch.setattr("django.utils.timezone.now", lambda: clock["now"])
    clock["now"] = started + timedelta(minutes=59, seconds=59)
    refused = create_session(guest, collection)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    clock["now"] = started + timedelta(minutes=60)
    assert create_session(guest, collection).status == 201
    assert create_session(guest, collection).status == 429
    assert PaymentEvent.objects.filter(type="session.created").count() == 3


def _date_back(event: PaymentEvent, moment: datetime) -> None:
    QuerySet(PaymentEvent).filter(pk=event.pk).update(created_at=moment)


@pytest.mark.database_independent
def test_so_many_authorizations_and_not_one_more(
    guest: Visitor, boss: Visitor, collection: PaymentCollection, set_rates: SetRates, script: Script
) -> None:
    set_rates(AUTHORIZATIONS_PER_COLLECTION="3/hour")
    create_session(guest, collection)
    session = PaymentSession.objects.get()
    assert [authorize(guest, session, script).body["status"] for _ in range(3)] == ["error"] * 3

    refused = authorize(guest, session, script)

    assert refused.error == (429, "throttled", "too_many_authorizations", [])
    assert 3590 <= int(refused.headers["Retry-After"]) <= 3600
    assert len(script.requests("authorize")) == 3
    create_session(guest, collection)  # another session of the same collection doesn't help
    other = PaymentSession.objects.get(status="pending")
    assert authorize(guest, other, script).status == 429
    script.next("authorize")
    assert boss.post(f"staff/payment-sessions/{other.pk}/authorize/").status == 200


@pytest.mark.parametrize("is_initiated", [True, False])
@pytest.mark.database_independent
def test_so_many_updates_and_not_one_more(
    *,
    guest: Visitor,
    boss: Visitor,
    collection: PaymentCollection,
    set_rates: SetRates,
    row_counts: Any,
    script: Script,
    is_initiated: bool,
) -> None:
    set_rates(UPDATES_PER_COLLECTION="3/hour")
    if not is_initiated:
        script.next(
            "initiate",
            providers.InitiateResult(outcome=Outcome.DECLINED, failure=providers.Failure(code="declined")),
        )
    create_session(guest, collection)
    session = PaymentSession.objects.get()
    path = f"storefront/payment-sessions/{session.pk}/"
    script.next(
        "update", *[providers.UpdateResult(outcome=Outcome.DECLINED)] * 2
    )  # what is refused counts as well
    first = [guest.patch(path, {"amount": f"{amount}.00"}).status for amount in (10, 20, 30)]
    assert first == ([402, 402, 200] if is_initiated else [200] * 3)
    before, calls = row_counts(), len(script.calls)

    refused = guest.patch(path, {"amount": "40.00"})

    assert refused.error == (429, "throttled", "too_many_updates", [])
    assert 3590 <= int(refused.headers["Retry-After"]) <= 3600
    assert (row_counts(), len(script.calls)) == (before, calls)
    services.update_payment_session(session, amount="50.00")  # the shop's own code may go on
    assert boss.patch(f"staff/payment-collections/{collection.pk}/", {"amount": "90.00"}).status == 200


def test_what_is_authorized_already_is_shown_whatever_the_limit(
    guest: Visitor, payment: Payment, set_rates: SetRates
) -> None:
    set_rates(AUTHORIZATIONS_PER_COLLECTION="1/hour")
    PaymentOperation.objects.update(source="storefront")
    answer = guest.post(f"storefront/payment-sessions/{payment.session_id}/authorize/")
    assert (answer.status, answer.body["status"]) == (200, "authorized")


@pytest.mark.database_independent
def test_the_limits_are_each_collections_own(
    guest: Visitor, collection: PaymentCollection, make_order: MakeOrder, set_rates: SetRates
) -> None:
    set_rates(SESSIONS_PER_COLLECTION="1/hour", AUTHORIZATIONS_PER_COLLECTION="1/hour")
    create_session(guest, collection)
    make_order("B-2")
    opened = Visitor().post("storefront/payment-collections/", {"reference": "B-2"}).body
    other = PaymentCollection.objects.get(pk=opened["id"])
    assert create_session(Visitor(secret=opened["client_secret"]), other).status == 201
    assert create_session(guest, collection).status == 429


@pytest.mark.database_independent
def test_a_repeated_request_does_not_count(
    guest: Visitor, collection: PaymentCollection, set_rates: SetRates
) -> None:
    set_rates(SESSIONS_PER_COLLECTION="1/hour")
    guest.headers = {**guest.headers, "Idempotency-Key": "k"}
    assert [create_session(guest, collection).status for _ in range(3)] == [201] * 3


@pytest.mark.django_db(transaction=True)
def test_requests_at_once_do_not_slip_through(
    guest: Visitor, collection: PaymentCollection, set_rates: SetRates
) -> None:
    set_rates(SESSIONS_PER_COLLECTION="3/hour")
    secret = guest.headers["Payment-Client-Secret"]
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    body = {
        "provider_id": "scripted",
        "amount": "1.00",
    }  # splits don't replace each other, so none has to wait

    statuses = times(6, lambda: Visitor(secret=secret).post(path, body).status).values

    assert sorted(statuses) == [201] * 3 + [429] * 3
    assert PaymentEvent.objects.filter(type="session.created", source="storefront").count() == 3


@pytest.mark.database_independent
def test_so_many_requests_of_one_client_and_not_one_more(
    guest: Visitor, collection: PaymentCollection, set_rates: SetRates, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_rates(REQUESTS_PER_CLIENT="3/minute")
    minute = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    clock = {"now": minute + timedelta(seconds=30)}
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock["now"])
    path = "storefront/payment-collections/"
    assert [guest.post(path, {"reference": "A-1"}).status for _ in range(3)] == [200] * 3

    refused = guest.post(path, {"reference": "A-1"})

    assert refused.error == (429, "throttled", "throttled", [])
    assert refused.headers["Retry-After"] == "30"
    assert guest.get(f"{path}{collection.pk}/").status == 200  # looking isn't limited
    clock["now"] = minute + timedelta(seconds=59.9)
    assert (guest.post(path, {"reference": "A-1"}).headers["Retry-After"]) == "1"
    clock["now"] = minute + timedelta(seconds=60)
    assert guest.post(path, {"reference": "A-1"}).status == 200


def test_around_the_end_of_a_window_there_is_not_twice_as_much(
    guest: Visitor, set_rates: SetRates, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_rates(REQUESTS_PER_CLIENT="4/minute")
    minute = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    clock = {"now": minute + timedelta(seconds=59)}
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock["now"])

    def statuses(second: float, count: int) -> list[int]:
        clock["now"] = minute + timedelta(seconds=second)
        return [
            guest.post("storefront/payment-collections/", {"reference": "A-1"}).status for _ in range(count)
        ]

    assert statuses(59, 5) == [200] * 4 + [429]
    assert statuses(61, 2) == [200, 429]
    refused = guest.post("storefront/payment-collections/", {"reference": "A-1"})
    assert refused.headers["Retry-After"] == "14"  # then a quarter of what was asked before is a minute ago
    assert statuses(74.9, 1) == [429]
    assert statuses(75, 2) == [200, 429]
    assert statuses(180, 5) == [200] * 4 + [429]


@pytest.mark.shows(
    "One client has many cards declined, each on another order", "it has to wait; others don't"
)
@pytest.mark.database_independent
def test_declines_of_one_client_are_counted_over_all_collections(
    make_order: MakeOrder,
    boss: Visitor,
    set_rates: SetRates,
    script: Script,
    caplog: pytest.LogCaptureFixture,
) -> None:
    set_rates(DECLINES_PER_CLIENT="3/hour", REQUESTS_PER_CLIENT=None)

    def pay(number: str, *, address: str = "203.0.113.1", result: Any = DECLINED) -> Answer:
        make_order(number)
        opened = Visitor().post("storefront/payment-collections/", {"reference": number}).body
        visitor = Visitor(secret=opened["client_secret"])
        visitor.client.defaults["REMOTE_ADDR"] = address
        session = create_session(visitor, PaymentCollection.objects.get(pk=opened["id"])).body
        script.next("authorize", result)
        return visitor.post(f"storefront/payment-sessions/{session['id']}/authorize/")

    assert pay("A-0", result=authorized).body["status"] == "authorized"
    assert [pay(f"A-{number}").body["status"] for number in (1, 2, 3)] == ["error"] * 3
    calls = len(script.requests("authorize"))

    refused = [pay(f"A-{number}") for number in (4, 5)]

    assert [answer.error for answer in refused] == [(429, "throttled", "too_many_declines", [])] * 2
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 3600
    assert len(script.requests("authorize")) == calls
    assert (
        caplog.text.count(
            "Cards may be tested: address:203.0.113.1 had 3 authorizations declined or undecided"
        )
        == 1
    )
    assert pay("A-6", address="203.0.113.2").body["status"] == "error"
    pending = PaymentSession.objects.filter(status="pending").first()
    assert pending is not None
    script.next("authorize", DECLINED)
    assert boss.post(f"staff/payment-sessions/{pending.pk}/authorize/").body["status"] == "error"


@pytest.mark.shows(
    "Many cards are declined of accounts that are new each time, or of one account from many addresses",
    "no more are tried than may be declined",
)
@pytest.mark.parametrize("is_one_account", [True, False])
@pytest.mark.database_independent
def test_a_new_account_or_address_is_no_new_start(
    collection: PaymentCollection, set_rates: SetRates, script: Script, *, is_one_account: bool
) -> None:
    set_rates(DECLINES_PER_CLIENT="2/hour", REQUESTS_PER_CLIENT=None)
    users = [get_user_model().objects.create_user(f"u{number}") for number in range(3)]
    session = services.create_payment_session(collection, provider_id="scripted", amount="10.00")
    answers = []
    for number, user in enumerate(users):
        visitor = Visitor(
            user=users[0] if is_one_account else user,
            secret=client_secret(collection.pk),
        )
        visitor.client.defaults["REMOTE_ADDR"] = f"203.0.113.{number if is_one_account else 1}"
        answers.append(authorize(visitor, session, script))
    assert [answer.status for answer in answers] == [200, 200, 429]

    stranger = Visitor(user=users[1], secret=client_secret(collection.pk))
    stranger.client.defaults["REMOTE_ADDR"] = "203.0.113.99"
    script._queues.clear()
    assert authorize(stranger, session, script).status == 200  # what was refused cost neither anything


@pytest.mark.parametrize(
    ("result", "is_counted"),
    daily(
        [
            (authorized, False),
            (needs_more, False),
            (providers.AuthorizeResult(outcome=Outcome.NOT_SENT), False),
            (DECLINED, True),
            (providers.AuthorizeResult(outcome=Outcome.PENDING), True),
            (providers.AuthorizeResult(outcome=Outcome.UNKNOWN), True),
            (ValueError("a plug-in's fault"), True),
        ],
        step=3,
    ),
)
@pytest.mark.database_independent
def test_what_is_or_may_yet_be_declined_counts_as_declined(
    guest: Visitor,
    collection: PaymentCollection,
    set_rates: SetRates,
    script: Script,
    result: Any,
    *,
    is_counted: bool,
) -> None:
    set_rates(DECLINES_PER_CLIENT="2/hour", REQUESTS_PER_CLIENT=None)
    body = {"provider_id": "scripted", "amount": "10.00"}
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    first, *others = (guest.post(path, body).body["id"] for _ in range(4))
    script.next("authorize", result)
    assert guest.post(f"storefront/payment-sessions/{first}/authorize/").status in (200, 202, 503)
    if not is_counted:
        guest.post(f"storefront/payment-sessions/{first}/cancel/")
    script.next("authorize", *[DECLINED] * 3)

    answers = [guest.post(f"storefront/payment-sessions/{other}/authorize/") for other in others]

    statuses = [200, 429, 429] if is_counted else [200, 200, 429]
    assert [answer.status for answer in answers] == statuses
    assert answers[-1].error[2] == "too_many_declines"


@pytest.mark.database_independent
def test_asking_after_what_is_held_or_under_way_is_no_decline(
    guest: Visitor, collection: PaymentCollection, set_rates: SetRates, script: Script
) -> None:
    set_rates(DECLINES_PER_CLIENT="2/hour", REQUESTS_PER_CLIENT=None)
    held, pending, last = (
        services.create_payment_session(collection, provider_id="scripted", amount="10.00") for _ in range(3)
    )
    script.next("authorize", authorized, providers.AuthorizeResult(outcome=Outcome.PENDING), DECLINED)
    for session in (held, held, held, pending, pending, pending):
        assert guest.post(f"storefront/payment-sessions/{session.pk}/authorize/").status in (200, 202, 409)
    assert guest.post(f"storefront/payment-sessions/{last.pk}/authorize/").body["status"] == "error"


@pytest.mark.shows(
    "An authorization is interrupted behind the reduction of its session, and sent again under its key",
    "a card that is declined then counts too",
)
def test_a_decline_counts_though_an_earlier_try_of_the_request_did_something_else(
    guest: Visitor, collection: PaymentCollection, set_rates: SetRates, script: Script
) -> None:
    set_rates(DECLINES_PER_CLIENT="1/hour", AUTHORIZATIONS_PER_COLLECTION="1/hour", REQUESTS_PER_CLIENT=None)
    split = services.create_payment_session(collection, provider_id="scripted", amount="1.00")
    script.next("authorize", DECLINED)
    services.authorize_payment_session(split)
    rest = services.create_payment_session(collection, provider_id="scripted")
    assert guest.post(f"storefront/payment-sessions/{split.pk}/authorize/").body["status"] == "authorized"
    guest.headers["Idempotency-Key"] = "once"
    assert authorize(guest, rest, script).error[2] == "too_many_authorizations"
    assert script.verbs[-1] == "update"

    set_rates(DECLINES_PER_CLIENT="1/hour", AUTHORIZATIONS_PER_COLLECTION=None, REQUESTS_PER_CLIENT=None)
    assert authorize(guest, rest, script).body["status"] == "error"
    del guest.headers["Idempotency-Key"]
    assert authorize(guest, rest, script).error[2] == "too_many_declines"


@pytest.mark.shows(
    "A session is changed while the answer to its declined card is written", "the decline counts all the same"
)
def test_a_decline_counts_though_its_session_is_changed_before_the_answer(
    guest: Visitor,
    collection: PaymentCollection,
    set_rates: SetRates,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_rates(DECLINES_PER_CLIENT="2/hour", REQUESTS_PER_CLIENT=None)
    session = services.create_payment_session(collection, provider_id="scripted", amount="10.00")
    real, amounts = services.authorize_payment_session, iter(["1.00", "2.00", "3.00"])

    def authorize_and_change(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        services.update_payment_session(session, amount=next(amounts))  # which has it wait for a card again

    monkeypatch.setattr(services, "authorize_payment_session", authorize_and_change)
    answers = [authorize(guest, session, script) for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.body["status"] for answer in answers[:2]] == ["pending"] * 2


@pytest.mark.shows(
    "One client has many cards tried of which the provider tells later",
    "no more are tried than may be declined",
)
def test_declines_told_later_count(
    guest: Visitor, collection: PaymentCollection, set_rates: SetRates, script: Script
) -> None:
    set_rates(DECLINES_PER_CLIENT="2/hour", REQUESTS_PER_CLIENT=None)
    session = services.create_payment_session(collection, provider_id="scripted", amount="10.00")
    refused = providers.SessionFact(
        currency_code="eur", status=SessionStatus.ERROR, failure=providers.Failure(code="card_declined")
    )
    statuses = []
    for number in range(3):
        script.next("authorize", providers.AuthorizeResult(outcome=Outcome.PENDING))
        statuses.append(guest.post(f"storefront/payment-sessions/{session.pk}/authorize/").status)
        told = providers.WebhookResult(
            event_id=f"e{number}", event_type="declined", session_id=session.pk, fact=refused
        )
        script.next("parse_webhook", told)
        assert Visitor().post("webhooks/scripted/").status == 200
    assert statuses == [202, 202, 429]
    assert len(script.requests("authorize")) == 2


@pytest.mark.shows(
    "One client has many cards declined without authorizing: as a session is made, or changed",
    "no more are tried than may be declined",
)
@pytest.mark.parametrize("verb", ["initiate", "update"])
@pytest.mark.database_independent
def test_a_card_that_is_declined_before_it_is_authorized_counts(
    guest: Visitor, collection: PaymentCollection, set_rates: SetRates, script: Script, verb: Any
) -> None:
    set_rates(DECLINES_PER_CLIENT="2/hour", REQUESTS_PER_CLIENT=None)
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    session = guest.post(path, {"provider_id": "scripted", "amount": "10.00"}).body["id"]
    failure = providers.Failure(code="card_declined")

    def ask(result: Outcome | None, **body: Any) -> int:
        if result is not None:
            build = providers.InitiateResult if verb == "initiate" else providers.UpdateResult
            script.next(verb, build(outcome=result, failure=failure))
        if verb == "initiate":
            return guest.post(path, {"provider_id": "scripted", "amount": "10.00", **body}).status
        return guest.patch(f"storefront/payment-sessions/{session}/", {"amount": "9.00", **body}).status

    card: dict[str, Any] = {"data": {"token": "tok_1"}}
    fine = 201 if verb == "initiate" else 200
    assert [ask(None, **card), ask(None, **card)] == [fine] * 2
    assert [ask(Outcome.DECLINED, **card) for _ in range(2)] == [402] * 2
    calls = len(script.requests(verb))
    assert ask(None, **card) == 429
    assert guest.post(f"storefront/payment-sessions/{session}/authorize/").error[2] == "too_many_declines"
    assert len(script.requests(verb)) == calls
    assert ask(None) == fine  # without a card nothing is tried


@pytest.mark.django_db(transaction=True)
@pytest.mark.shows("One client tries many cards at once", "no more are tried than may be declined")
def test_cards_tried_at_once_do_not_slip_through(
    guest: Visitor, collection: PaymentCollection, set_rates: SetRates, script: Script
) -> None:
    set_rates(DECLINES_PER_CLIENT="2/hour", REQUESTS_PER_CLIENT=None)
    sessions = [
        services.create_payment_session(collection, provider_id="scripted", amount="1.00").pk
        for _ in range(6)
    ]
    script.next("authorize", *[DECLINED] * 6)
    secret = guest.headers["Payment-Client-Secret"]

    answers = times(
        6,
        lambda: (
            Visitor(secret=secret).post(f"storefront/payment-sessions/{sessions.pop()}/authorize/").status
        ),
    ).values

    assert sorted(answers) == [200] * 2 + [429] * 4
    assert len(script.requests("authorize")) == 2


def test_counter_of_one_process_is_exact_whatever_comes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = throttling.Counter(name="test", client="c", rate=Rate(count=50, period=timedelta(hours=1)))
    waits = times(10, lambda: [counter.take() for _ in range(20)]).values
    assert sum(not wait for taken in waits for wait in taken) == 50


@pytest.mark.database_independent
def test_every_view_that_calls_a_provider_says_so(
    owner: Visitor, payment: Payment, script: Script, set_rates: SetRates
) -> None:
    keys = keys_of(payment)
    for route in (route for route in STOREFRONT if route.method == "GET"):
        for method in ("GET", "HEAD"):
            cache.clear()
            set_rates(REQUESTS_PER_CLIENT="1/hour")
            path, calls = filled(route.path, keys), len(script.calls)
            assert owner.send(method, path).status == 200
            is_limited = owner.send(method, path).status == 429
            assert is_limited == (len(script.calls) > calls), f"{method} {path}"


@pytest.mark.database_independent
def test_clients_are_told_apart_by_user_or_address(
    shopper: Any, make_order: MakeOrder, set_rates: SetRates
) -> None:
    make_order()

    def status(*, user: Any = None, address: str = "203.0.113.1", forwarded: str | None = None) -> int:
        visitor = Visitor(user=user)
        visitor.client.defaults["REMOTE_ADDR"] = address
        visitor.headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
        return visitor.post("storefront/payment-collections/", {"reference": "A-1"}).status

    set_rates(REQUESTS_PER_CLIENT="1/day", other={"PROXIES": 0})
    assert status() == 201
    assert status(forwarded="198.51.100.1") == 429  # nobody's own proxy wrote that
    assert status(address="203.0.113.2") == 200
    assert status(address="2001:db8::1") == 200
    assert status(address="2001:db8::ffff:1") == 429  # the same household
    assert status(address="2001:db8:0:1::1") == 200
    assert status(user=shopper) == 200
    assert status(user=shopper, address="203.0.113.3") == 429
    set_rates(REQUESTS_PER_CLIENT="1/day", other={"PROXIES": 1})
    assert status(forwarded="made-up, 198.51.100.1") == 200
    assert status(forwarded="invented, 198.51.100.1") == 429
    set_rates(REQUESTS_PER_CLIENT="1/day", other={"PROXIES": 2})
    assert status(forwarded="made-up, 198.51.100.2, 10.0.0.1") == 200
    assert status(forwarded="invented, 198.51.100.2, 10.0.0.1") == 429
    assert status(forwarded="198.51.100.2") == 429
    set_rates(REQUESTS_PER_CLIENT="1/day", other={"PROXIES": None})
    assert status(address="203.0.113.4", forwarded="198.51.100.3") == 200
    assert status(address="203.0.113.4", forwarded="198.51.100.4") == 429  # anybody may write that


@pytest.mark.parametrize(
    "addresses",
    [
        (
            "203.0.113.9:51234",
            "203.0.113.9:51235",
            "203.0.113.9",
            "::ffff:203.0.113.9",
            "[::ffff:203.0.113.9]:80",
        ),
        ("[2001:db8::1]:443", "[2001:db8::2]:444", "[2001:db8::3]", "2001:db8::4"),
        ("fe80::1%eth0", "fe80::1%eth1", "fe80::2"),
        ("unknown", "_hidden", "203.0.113.9:http", "[2001:db8::1", "999.0.0.1", ""),
    ],
)
@pytest.mark.database_independent
def test_an_address_is_one_client_however_a_proxy_writes_it(
    collection: PaymentCollection, set_rates: SetRates, addresses: tuple[str, ...]
) -> None:
    set_rates(REQUESTS_PER_CLIENT="1/day", other={"PROXIES": 1})
    visitor, statuses = Visitor(), []
    for address in (*addresses, "198.51.100.7:80"):
        visitor.headers = {"X-Forwarded-For": f"made-up, {address}"}
        statuses.append(visitor.post("storefront/payment-collections/", {"reference": "A-1"}).status)
    assert statuses == [200, *[429] * (len(addresses) - 1), 200]


@pytest.mark.parametrize(("proxies", "is_told"), [(None, True), (0, False), (1, False)])
@pytest.mark.database_independent
def test_who_keeps_payers_behind_a_proxy_waiting_is_told_what_to_type(
    guest: Visitor,
    set_rates: SetRates,
    caplog: pytest.LogCaptureFixture,
    proxies: int | None,
    is_told: bool,
) -> None:
    set_rates(REQUESTS_PER_CLIENT="1/day", other={"PROXIES": proxies})
    guest.headers = {**guest.headers, "X-Forwarded-For": "198.51.100.3"}
    path = "storefront/payment-collections/"
    assert [guest.post(path, {"reference": "A-1"}).status for _ in range(2)] == [200, 429]
    assert ('"PROXIES": 1' in caplog.text) == is_told


def test_a_cache_that_is_away_stops_nobody_from_paying(
    guest: Visitor, set_rates: SetRates, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_rates(REQUESTS_PER_CLIENT="1/day")

    class Away:
        def get(self, *_args: Any, **_kwargs: Any) -> None:
            raise ConnectionError("redis://:password@cache")

    monkeypatch.setattr(throttling, "caches", {"default": Away()})
    answers = [guest.post("storefront/payment-collections/", {"reference": "A-1"}).status for _ in range(3)]
    assert answers == [200] * 3
    assert "ConnectionError" in caplog.text
    assert "password" not in caplog.text


@pytest.mark.database_independent
def test_operators_are_not_limited_and_a_shop_may_use_classes_of_its_own(
    guest: Visitor, boss: Visitor, set_rates: SetRates
) -> None:
    set_rates(REQUESTS_PER_CLIENT="1/day")
    labels = [f"Reason {number}" for number in range(3)]
    assert [boss.post("staff/refund-reasons/", {"label": label}).status for label in labels] == [201] * 3
    own = {"STOREFRONT_THROTTLE_CLASSES": ["tests.api.test_throttling.Never"]}
    set_rates(REQUESTS_PER_CLIENT=None, other=own)
    refused = guest.get("storefront/payment-providers/")
    assert refused.error == (429, "throttled", "throttled", [])
    assert refused.headers["Retry-After"] == "7"
    set_rates(REQUESTS_PER_CLIENT="1/day", other={"STOREFRONT_THROTTLE_CLASSES": []})
    assert [guest.post("storefront/payment-collections/", {"reference": "A-1"}).status for _ in range(3)] == [
        200
    ] * 3


class Never(BaseThrottle):
    """Let nobody in for seven seconds."""

    def allow_request(self, request: Any, view: Any) -> bool:
        """Refuse."""
        return False

    def wait(self) -> float:
        """Return seven seconds."""
        return 7.0


def test_without_a_setting_there_are_limits(settings: Any) -> None:
    settings.PAYMENTS = {name: value for name, value in settings.PAYMENTS.items() if name != "THROTTLES"}
    names = (
        "AUTHORIZATIONS_PER_COLLECTION",
        "UPDATES_PER_COLLECTION",
        "REQUESTS_PER_CLIENT",
        "DECLINES_PER_CLIENT",
    )
    rates = {name: throttle_rate(name) for name in names}
    assert {name: rate and rate.count for name, rate in rates.items()} == {
        "AUTHORIZATIONS_PER_COLLECTION": 15,
        "UPDATES_PER_COLLECTION": 30,
        "REQUESTS_PER_CLIENT": 120,
        "DECLINES_PER_CLIENT": 10,
    }
