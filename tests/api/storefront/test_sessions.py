"""A payer's sessions: what is shown, what may be sent, and what comes back when a provider misbehaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from payments import providers, services
from payments.models import PaymentCollection, PaymentEvent, PaymentProvider, PaymentSession
from payments.states import Outcome
from payments.testing import Script, configured_provider, scripted_provider
from tests.api.client import Answer, Visitor
from tests.api.pairs import daily
from tests.shop.models import Order

pytestmark = pytest.mark.django_db

SESSION_KEYS = {
    "id",
    "payment_collection_id",
    "provider_id",
    "status",
    "amount",
    "authorized_amount",
    "currency_code",
    "data",
    "accepts_saved_payment_methods",
    "in_progress",
    "next_action",
    "error",
    "due_at",
    "expires_at",
    "authorized_at",
    "created_at",
}
DECLINED = providers.AuthorizeResult(
    outcome=Outcome.DECLINED,
    failure=providers.Failure(
        code="card_declined", message="The card was declined.", detail="issuer says 51"
    ),
)


def create(guest: Visitor, collection: PaymentCollection, **body: Any) -> Answer:
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    return guest.post(path, {"provider_id": "scripted"} | body)


@pytest.fixture
def session(guest: Visitor, collection: PaymentCollection) -> PaymentSession:
    return PaymentSession.objects.get(pk=create(guest, collection).body["id"])


@pytest.fixture
def withheld(session: PaymentSession) -> Iterator[None]:
    """Have the session's provider be one that payers may not choose."""
    entry = {**settings.PAYMENTS["PROVIDERS"]["scripted"], "STOREFRONT": False}
    with configured_provider("scripted", entry):
        yield


@pytest.fixture
def path(session: PaymentSession) -> str:
    return f"storefront/payment-sessions/{session.pk}/"


@pytest.mark.database_independent
def test_a_session_shows_these_keys_and_no_others(
    guest: Visitor, collection: PaymentCollection, path: str
) -> None:
    assert set(guest.get(path).body) == SESSION_KEYS
    (nested,) = guest.get(f"storefront/payment-collections/{collection.pk}/").body["payment_sessions"]
    assert set(nested) == SESSION_KEYS


@pytest.mark.database_independent
def test_nothing_private_is_in_any_answer(
    guest: Visitor, collection: PaymentCollection, script: Script
) -> None:
    script.next(
        "initiate",
        providers.InitiateResult(
            outcome=Outcome.SUCCEEDED,
            data={"client_token": "public", "leaked": "PRIVATE-1"},
            provider_data={"secret": "PRIVATE-2"},
            provider_reference="PRIVATE-3",
            provider_log={"raw": "PRIVATE-4"},
        ),
    )
    script.next("authorize", DECLINED)
    created = create(guest, collection, data={"token": "PRIVATE-5"}, return_url="http://testserver/PRIVATE-6")
    path = f"storefront/payment-sessions/{created.body['id']}/"
    answers = [
        created,
        guest.post(f"{path}authorize/"),
        guest.get(path),
        guest.get(f"storefront/payment-collections/{collection.pk}/"),
        guest.post(f"{path}cancel/"),
    ]

    assert [answer.status for answer in answers] == [201, 200, 200, 200, 200]
    for answer in answers:
        assert b"PRIVATE" not in answer.raw
        assert b"issuer says" not in answer.raw
    assert created.body["data"] == {"client_token": "public"}


@pytest.mark.database_independent
def test_public_data_is_filtered_by_what_the_provider_declares_now(
    guest: Visitor, session: PaymentSession, path: str
) -> None:
    session.data = {"client_token": "public", "declared_before": "not any more"}
    session.save_fields("data")

    assert guest.get(path).body["data"] == {"client_token": "public"}


@pytest.mark.database_independent
def test_a_provider_that_is_gone_from_the_settings_publishes_nothing(
    settings: Any, guest: Visitor, session: PaymentSession, path: str
) -> None:
    assert guest.get(path).body["data"] == {"client_token": f"token_{session.pk}"}
    settings.PAYMENTS = {
        **settings.PAYMENTS,
        "PROVIDERS": {"system": settings.PAYMENTS["PROVIDERS"]["system"]},
    }

    shown = guest.get(path)
    authorized = guest.post(f"{path}authorize/")

    assert (shown.status, shown.body["data"]) == (200, {})
    assert authorized.error[:3] == (503, "provider_error", "provider_not_configured")


def test_moments_are_written_in_utc(guest: Visitor, path: str, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"

    shown = guest.get(path).body["created_at"]

    assert datetime.fromisoformat(shown).tzinfo is not None
    assert shown.endswith("Z")


@pytest.mark.database_independent
def test_data_and_return_url_reach_the_provider(
    guest: Visitor, collection: PaymentCollection, script: Script
) -> None:
    create(guest, collection, data={"token": "tok"}, return_url="http://testserver/thanks")

    (request,) = script.requests("initiate")
    assert request.input == {"token": "tok"}
    assert request.context.return_url == "http://testserver/thanks"
    assert request.context.description == "Order A-1"


@pytest.mark.parametrize("key", ["capture_method", "off_session", "amount", "confirm"])
@pytest.mark.database_independent
def test_data_that_the_provider_does_not_take_is_refused(
    guest: Visitor, collection: PaymentCollection, script: Script, key: str
) -> None:
    refused = create(guest, collection, data={key: "automatic"})

    assert refused.error == (400, "invalid_request", "unknown_data_key", [("data", "unknown_data_key")])
    assert script.calls == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("text", "not_an_object"),
        (["token"], "not_an_object"),
        (None, "null"),
        ({"token": "a\u0000b"}, "invalid_character"),
        ({"token": "\udfff"}, "invalid_character"),
        ({"to\u0000ken": "a"}, "invalid_character"),
        ({"token": {"a": [{"b": "\ud800"}]}}, "invalid_character"),
        ({"token": [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}, "too_deep"),
    ],
)
def test_data_that_can_not_be_stored_is_refused(
    guest: Visitor, collection: PaymentCollection, data: Any, code: str
) -> None:
    refused = create(guest, collection, data=data)

    assert refused.error == (400, "invalid_request", code, [("data", code)])
    assert not PaymentSession.objects.exists()


def test_a_number_that_is_too_large_for_json_is_refused(
    guest: Visitor, collection: PaymentCollection
) -> None:
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"

    refused = guest.post(path, '{"provider_id": "scripted", "data": {"token": 1e400}}')

    assert refused.error == (400, "invalid_request", "not_finite", [("data", "not_finite")])


@pytest.mark.parametrize(
    "field",
    daily(["status", "currency_code", "is_split", "provider_data", "context", "metadata", "expires_at"]),
)
@pytest.mark.database_independent
def test_a_payer_can_not_set_what_is_the_servers(
    guest: Visitor, collection: PaymentCollection, path: str, field: str
) -> None:
    created = create(guest, collection, **{field: "x"})
    patched = guest.patch(path, {field: "x"})

    for refused in (created, patched):
        assert refused.error == (400, "invalid_request", "unknown_field", [(field, "unknown_field")])


@pytest.mark.database_independent
def test_all_wrong_fields_are_named_at_once(guest: Visitor, collection: PaymentCollection) -> None:
    refused = create(guest, collection, amount="10,00", status="authorized", data=3)

    status, kind, code, blamed = refused.error
    assert (status, kind, code) == (400, "invalid_request", "invalid_input")
    assert sorted(blamed, key=str) == [
        ("amount", "invalid"),
        ("data", "not_an_object"),
        ("status", "unknown_field"),
    ]


def test_a_declined_authorization_is_a_session_in_error(guest: Visitor, path: str, script: Script) -> None:
    script.next("authorize", DECLINED)

    declined = guest.post(f"{path}authorize/", {"data": {"token": "tok"}})
    again = guest.post(f"{path}authorize/", {"data": {"token": "another"}})

    assert (declined.status, declined.body["status"]) == (200, "error")
    assert declined.body["error"] == {"code": "card_declined", "message": "The card was declined."}
    assert (again.status, again.body["status"], again.body["error"]) == (200, "authorized", None)


@pytest.mark.database_independent
def test_a_next_action_is_shown_while_it_is_due(guest: Visitor, path: str, script: Script) -> None:
    action = providers.NextAction(type="redirect", url="https://bank.example/3ds")
    script.next("authorize", providers.AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=action))

    asked = guest.post(f"{path}authorize/")
    done = guest.post(f"{path}authorize/", {"data": {"code": "1"}})

    assert asked.body["next_action"] == {"type": "redirect", "url": "https://bank.example/3ds"}
    assert (done.body["status"], done.body["next_action"]) == ("authorized", None)


@pytest.mark.parametrize(
    "answer",
    [
        TimeoutError(),
        providers.AuthorizeResult(outcome=Outcome.PENDING),
        providers.AuthorizeResult(outcome=Outcome.UNKNOWN),
    ],
)
@pytest.mark.database_independent
def test_an_authorization_whose_outcome_is_not_known_yet_is_accepted(
    guest: Visitor, path: str, script: Script, answer: Any
) -> None:
    script.next("authorize", answer)

    accepted = guest.post(f"{path}authorize/")

    assert (accepted.status, accepted.body["status"]) == (202, "pending")
    assert set(accepted.body) == SESSION_KEYS
    assert accepted.headers["Retry-After"] == "2"


@pytest.mark.database_independent
def test_authorizing_again_while_the_outcome_is_unknown_is_a_conflict(
    guest: Visitor, path: str, script: Script
) -> None:
    script.next("authorize", TimeoutError())
    guest.post(f"{path}authorize/")

    again = guest.post(f"{path}authorize/")

    assert again.error == (409, "conflict", "operation_in_progress", [])
    assert 2 <= int(again.headers["Retry-After"]) <= 60
    assert again.body["message"] == ("We are still finding out about your last try. You need not pay again.")
    assert len(script.requests("authorize")) == 1


def test_authorizing_twice_gives_the_one_payment(guest: Visitor, path: str, script: Script) -> None:
    first = guest.post(f"{path}authorize/")
    second = guest.post(f"{path}authorize/")

    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body
    assert len(script.requests("authorize")) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            providers.InitiateResult(
                outcome=Outcome.DECLINED, failure=providers.Failure(code="amount_too_small", message="No.")
            ),
            (402, "provider_error", "amount_too_small", []),
        ),
        (
            providers.InitiateResult(outcome=Outcome.NOT_SENT),
            (503, "provider_error", "provider_unavailable", []),
        ),
    ],
)
@pytest.mark.database_independent
def test_a_session_that_a_provider_does_not_open_is_an_error_and_a_row(
    guest: Visitor, collection: PaymentCollection, script: Script, answer: Any, expected: Any
) -> None:
    script.next("initiate", answer)

    refused = create(guest, collection)

    assert refused.error == expected
    assert PaymentSession.objects.get().status == "error"


@pytest.mark.database_independent
def test_a_session_whose_opening_is_not_known_yet_is_accepted(
    guest: Visitor, collection: PaymentCollection, script: Script
) -> None:
    script.next("initiate", ConnectionResetError())

    accepted = create(guest, collection)

    assert accepted.status == 202
    assert accepted.body["id"] == PaymentSession.objects.get().pk


@pytest.mark.database_independent
def test_a_payer_may_change_the_amount_of_a_split(guest: Visitor, path: str, script: Script) -> None:
    changed = guest.patch(path, {"amount": "30.00"})

    assert (changed.status, changed.body["amount"]) == (200, "30.00")
    assert script.requests("update")[0].amount == 30


@pytest.mark.database_independent
def test_a_change_whose_outcome_is_unknown_is_accepted(guest: Visitor, path: str, script: Script) -> None:
    script.next("update", providers.UpdateResult(outcome=Outcome.UNKNOWN))

    accepted = guest.patch(path, {"amount": "30.00"})

    assert (accepted.status, accepted.body["amount"]) == (202, "100.00")


@pytest.mark.database_independent
def test_a_change_of_nothing_is_refused(guest: Visitor, path: str) -> None:
    assert guest.patch(path, {}).error[:3] == (400, "invalid_request", "nothing_to_change")


@pytest.mark.database_independent
def test_an_unchangeable_session_is_replaced_when_the_order_changes(
    guest: Visitor, collection: PaymentCollection
) -> None:
    with scripted_provider(lacks={"update"}):
        session = create(guest, collection)
        Order.objects.update(total="120.00")
        unsupported = guest.patch(f"storefront/payment-sessions/{session.body['id']}/", {"amount": "10.00"})

        opened = guest.post("storefront/payment-collections/", {"reference": "A-1"})

    assert unsupported.error == (400, "invalid_request", "not_supported", [])
    assert (opened.status, opened.body["amount"]) == (200, "120.00")
    assert [row["status"] for row in opened.body["payment_sessions"]] == ["canceled"]


@pytest.mark.database_independent
def test_a_payer_may_cancel_and_may_not_authorize_afterwards(guest: Visitor, path: str) -> None:
    canceled = guest.post(f"{path}cancel/")
    authorized = guest.post(f"{path}authorize/")

    assert (canceled.status, canceled.body["status"]) == (200, "canceled")
    assert authorized.error[:3] == (409, "conflict", "invalid_transition")


@pytest.mark.database_independent
def test_a_payer_can_not_cancel_what_was_captured(guest: Visitor, session: PaymentSession, path: str) -> None:
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    services.capture_payment(payment)

    assert guest.post(f"{path}cancel/").error[:3] == (409, "conflict", "already_authorized")


@pytest.mark.database_independent
def test_a_cancelation_whose_outcome_is_unknown_is_accepted(
    guest: Visitor, path: str, script: Script
) -> None:
    script.next("cancel", providers.CancelResult(outcome=Outcome.UNKNOWN))

    assert guest.post(f"{path}cancel/").status == 202


@pytest.mark.database_independent
def test_every_change_is_in_the_history_as_the_storefronts(guest: Visitor, path: str) -> None:
    guest.patch(path, {"amount": "30.00"})
    guest.post(f"{path}authorize/")
    guest.post(f"{path}cancel/")

    assert set(PaymentEvent.objects.values_list("source", flat=True)) == {"storefront"}


@pytest.mark.database_independent
def test_a_disabled_provider_takes_no_new_session(
    guest: Visitor, collection: PaymentCollection, path: str
) -> None:
    services.disable_provider(PaymentProvider.objects.get(pk="scripted"))

    refused = create(guest, collection)

    assert refused.error == (
        400,
        "invalid_request",
        "provider_disabled",
        [("provider_id", "provider_disabled")],
    )
    assert guest.post(f"{path}authorize/").body["status"] == "authorized"


@pytest.mark.database_independent
def test_a_session_shows_how_much_of_it_was_authorized_until_that_is_released(
    guest: Visitor, collection: PaymentCollection, path: str, script: Script
) -> None:
    script.next(
        "authorize",
        providers.AuthorizeResult(outcome=Outcome.SUCCEEDED, amount=Decimal(60), currency_code="eur"),
    )

    before = guest.get(path).body["authorized_amount"]
    authorized = guest.post(f"{path}authorize/").body
    shown = guest.get(f"storefront/payment-collections/{collection.pk}/").body
    services.cancel_payment_session(PaymentSession.objects.get())
    released = guest.get(path).body

    assert before == "0.00"
    assert (authorized["amount"], authorized["authorized_amount"]) == ("100.00", "60.00")
    assert shown["authorized_amount"] == shown["payment_sessions"][0]["authorized_amount"] == "60.00"
    assert (released["status"], released["authorized_amount"]) == ("canceled", "0.00")


@pytest.mark.database_independent
def test_more_sessions_need_no_more_queries(
    guest: Visitor, collection: PaymentCollection, django_assert_max_num_queries: Any
) -> None:
    path = f"storefront/payment-collections/{collection.pk}/"
    for _number in range(4):
        session = create(guest, collection, amount="10.00").body
        guest.post(f"storefront/payment-sessions/{session['id']}/authorize/")

    with django_assert_max_num_queries(2):
        assert len(guest.get(path).body["payment_sessions"]) == 4


@pytest.mark.shows(
    "A payer names a provider that is for operators only, such as cash",
    "It isn't listed, and its sessions can be neither created nor authorized by a payer",
)
@pytest.mark.database_independent
def test_payers_cannot_create_or_authorize_with_a_withheld_provider(
    guest: Visitor, collection: PaymentCollection, session: PaymentSession, path: str, withheld: None
) -> None:
    listed = guest.get("storefront/payment-providers/").body["results"]
    assert "scripted" not in {provider["id"] for provider in listed}
    for refused in (create(guest, collection), guest.post(f"{path}authorize/", {})):
        assert (refused.status, refused.body["code"]) == (400, "provider_not_offered")
        assert refused.body["errors"][0]["field"] == "provider_id"
    session.refresh_from_db()
    assert (session.status, collection.sessions.count()) == ("pending", 1)


@pytest.mark.database_independent
def test_what_is_withheld_from_payers_is_there_for_the_shop(session: PaymentSession, withheld: None) -> None:
    assert services.authorize_payment_session(session).status == "authorized"


@pytest.mark.database_independent
def test_a_promise_to_pay_is_withheld_unless_the_shop_says_otherwise(
    guest: Visitor, collection: PaymentCollection
) -> None:
    with configured_provider("cash", {"BACKEND": "payments.providers.system.SystemProvider"}):
        assert create(guest, collection, provider_id="cash").body["code"] == "provider_not_offered"
    services.mark_payment_collection_as_paid(collection)
    collection.refresh_from_db()
    assert collection.status == "completed"
