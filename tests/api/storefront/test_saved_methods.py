"""A customer's saved payment methods: theirs alone, and never more of them than it takes to recognize one."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client

from payments import services
from payments.models import AccountHolder, PaymentCollection, PaymentOperation
from payments.providers import AuthorizeResult, Failure, NextAction
from payments.providers.account_holders import (
    AddMethodResult,
    CreateAccountResult,
    ListMethodsResult,
    RemoveMethodResult,
    SavedPaymentMethod,
)
from payments.services.background.reconciler import reconcile_operation
from payments.states import Outcome
from payments.testing import Script, configured_provider
from tests.api.client import Answer, Visitor

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

PATH = "storefront/payment-providers/scripted/saved-payment-methods/"
NOT_FOUND: tuple[Any, ...] = (404, "not_found", "not_found", [])
NOBODY: tuple[Any, ...] = (401, "authentication_error", "not_authenticated", [])


@pytest.fixture
def sam(shopper: Any) -> Visitor:
    """Return the shopper, logged in."""
    return Visitor(user=shopper)


@pytest.fixture
def holder(shopper: Any, script: Script) -> AccountHolder:
    """Return the shopper's account, of which the script has forgotten that it was asked for."""
    holder = services.create_account_holder(shopper, provider_id="scripted")
    script.calls.clear()
    return holder


def everything(visitor: Visitor, *, path: str = PATH, method_id: str = "card_1") -> list[Answer]:
    """Return the answers to all that can be asked for."""
    return [visitor.get(path), visitor.post(path, {}), visitor.send("DELETE", f"{path}{method_id}/")]


def test_a_saved_method_shows_these_keys_and_no_others(sam: Visitor, holder: AccountHolder) -> None:
    listed = sam.get(PATH)

    assert listed.status == 200
    assert listed.body == {
        "results": [
            {
                "id": f"card_of_{holder.provider_reference}",
                "type": "card",
                "brand": "visa",
                "last4": "4242",
                "expires": "2034-12",
            }
        ]
    }


def test_nothing_new_is_saved_with_a_provider_that_is_withheld_from_payers(
    sam: Visitor, holder: AccountHolder
) -> None:
    entry = {**settings.PAYMENTS["PROVIDERS"]["scripted"], "STOREFRONT": False}
    with configured_provider("scripted", entry):
        listed, started, removed = everything(sam, method_id=f"card_of_{holder.provider_reference}")
    assert (listed.status, started.status, removed.status) == (200, 404, 204)


def test_what_a_provider_does_not_say_is_empty(sam: Visitor, holder: AccountHolder, script: Script) -> None:
    wallet = SavedPaymentMethod(id="w_1", type="wallet")
    script.next("list_methods", ListMethodsResult(outcome=Outcome.SUCCEEDED, methods=(wallet,)))

    assert sam.get(PATH).body["results"] == [
        {"id": "w_1", "type": "wallet", "brand": "", "last4": "", "expires": ""}
    ]


def test_who_has_no_account_has_saved_nothing_and_the_provider_is_not_asked(
    sam: Visitor, script: Script
) -> None:
    assert sam.get(PATH).body == {"results": []}
    assert script.calls == []
    assert not AccountHolder.objects.exists()


def test_saving_makes_the_account_and_gives_the_browser_what_may_be_published(
    sam: Visitor, shopper: Any, script: Script
) -> None:
    answer = AddMethodResult(
        outcome=Outcome.SUCCEEDED,
        data={"client_token": "public", "leaked": "PRIVATE"},
        next_action=NextAction(type="redirect", url="https://provider.example/save/1"),
    )
    script.next("add_method", answer)

    started = sam.post(PATH, {"return_url": "http://testserver/account"})

    assert started.status == 201
    assert started.body == {
        "data": {"client_token": "public"},
        "next_action": {"type": "redirect", "url": "https://provider.example/save/1"},
    }
    holder = AccountHolder.objects.get()
    assert (holder.customer, holder.email) == (shopper, "sam@shopper.example")
    (asked,) = script.requests("add_method")
    assert (asked.account_reference, asked.return_url) == (
        holder.provider_reference,
        "http://testserver/account",
    )


def test_saved_methods_do_not_show_what_a_provider_keeps_of_an_account(sam: Visitor, script: Script) -> None:
    private = {"master": "account-private-4711", "account": "acct_12345"}
    script.next(
        "create_account",
        CreateAccountResult(
            outcome=Outcome.SUCCEEDED, provider_reference="acct_12345", provider_data=private
        ),
    )
    script.next(
        "add_method",
        AddMethodResult(outcome=Outcome.SUCCEEDED, data={"client_token": "account-private-4711"}),
        AddMethodResult(outcome=Outcome.SUCCEEDED, data={"client_token": "for acct_12345"}),
    )
    assert sam.post(PATH, {}).body["data"] == {}
    assert sam.post(PATH, {}).body["data"] == {"client_token": "for acct_12345"}
    assert [request.provider_data for request in script.requests("add_method")] == [private, private]
    leaking = SavedPaymentMethod(id="card_1", type="card", brand="account-private-4711")
    script.next("list_methods", ListMethodsResult(outcome=Outcome.SUCCEEDED, methods=(leaking,)))
    (shown,) = sam.get(PATH).body["results"]
    assert (shown["id"], shown["brand"]) == ("card_1", "")


def test_saving_another_uses_the_same_account(sam: Visitor, script: Script) -> None:
    assert [sam.post(PATH).status, sam.post(PATH, {}).status] == [201, 201]

    assert len(script.requests("create_account")) == 1
    assert AccountHolder.objects.count() == 1


def test_the_same_request_again_asks_the_provider_for_nothing(sam: Visitor, script: Script) -> None:
    sam.headers["Idempotency-Key"] = "one"

    first, again = sam.post(PATH, {}), sam.post(PATH, {})

    assert (first.body, again.headers["Idempotent-Replayed"]) == (again.body, "true")
    assert len(script.requests("add_method")) == 1


def test_a_strangers_return_url_is_refused_before_anything_is_asked(sam: Visitor, script: Script) -> None:
    refused = sam.post(PATH, {"return_url": "https://evil.example/"})

    assert refused.error == (
        400,
        "invalid_request",
        "return_url_not_allowed",
        [("return_url", "return_url_not_allowed")],
    )
    assert script.calls == []


def test_one_is_removed(sam: Visitor, holder: AccountHolder, script: Script) -> None:
    removed = sam.send("DELETE", f"{PATH}card_of_{holder.provider_reference}/")

    assert (removed.status, removed.body) == (204, None)
    (asked,) = script.requests("remove_method")
    assert asked.method_id == f"card_of_{holder.provider_reference}"


def test_anothers_method_and_none_at_all_are_the_same_answer_to_the_byte(
    sam: Visitor, holder: AccountHolder, script: Script
) -> None:
    mallory = get_user_model().objects.create_user("mallory")
    without_account = Visitor(user=get_user_model().objects.create_user("newcomer"))
    services.create_account_holder(mallory, provider_id="scripted")
    ids = [f"card_of_{holder.provider_reference}", "card_0", "x" * 300, "a%00b", "%F0%9F%92%B0", "..", "-1"]

    answers = [
        visitor.send("DELETE", f"{PATH}{method_id}/")
        for visitor in (Visitor(user=mallory), without_account)
        for method_id in ids
    ]
    answers += everything(sam, path=PATH.replace("scripted", "nobody"))
    answers += everything(sam, path=PATH.replace("scripted", "%00"))

    assert answers[0].error == NOT_FOUND
    assert {(answer.status, answer.raw) for answer in answers} == {(404, answers[0].raw)}
    assert script.requests("remove_method") == []


def test_guests_with_and_without_a_secret_must_log_in_and_leave_no_trace(
    guest: Visitor, collection: PaymentCollection, shopper: Any, holder: AccountHolder, script: Script
) -> None:
    collection.customer = shopper
    collection.save_fields("customer")
    guest.headers["Idempotency-Key"] = "one"
    method_id = f"card_of_{holder.provider_reference}"

    for visitor in (Visitor(), guest):
        for path in (PATH, PATH.replace("scripted", "system"), PATH.replace("scripted", "nobody")):
            for answer in everything(visitor, path=path, method_id=method_id):
                assert answer.error == NOBODY
                assert answer.headers["WWW-Authenticate"].startswith("Session")
    assert script.calls == []


def test_a_secret_does_not_make_one_customer_another(
    guest: Visitor, collection: PaymentCollection, shopper: Any, holder: AccountHolder
) -> None:
    collection.customer = shopper
    collection.save_fields("customer")
    mallory = Visitor(user=get_user_model().objects.create_user("mallory"))
    mallory.headers |= guest.headers

    assert mallory.get(PATH).body == {"results": []}
    removed = mallory.send("DELETE", f"{PATH}card_of_{holder.provider_reference}/")
    assert removed.error == NOT_FOUND


def test_a_provider_that_keeps_nothing_says_so(sam: Visitor) -> None:
    for answer in everything(sam, path=PATH.replace("scripted", "system")):
        assert answer.error == (
            400,
            "invalid_request",
            "not_supported",
            [("provider_id", "not_supported")],
        )


def test_a_disabled_provider_saves_nothing_more_but_shows_and_removes_all(
    sam: Visitor, holder: AccountHolder
) -> None:
    services.disable_provider(holder.provider)

    listed, started, removed = everything(sam, method_id=f"card_of_{holder.provider_reference}")

    assert (listed.status, removed.status) == (200, 204)
    assert started.error[:3] == (400, "invalid_request", "provider_disabled")


REFUSED = {"outcome": Outcome.DECLINED, "failure": Failure(code="no_such_customer", message="Not any more.")}


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (REFUSED, (402, "provider_error", "no_such_customer", [])),
        ({"outcome": Outcome.NOT_SENT}, (503, "provider_error", "provider_unavailable", [])),
        ({"outcome": Outcome.UNKNOWN}, (503, "provider_error", "outcome_unknown", [])),
        ({"outcome": Outcome.PENDING}, (503, "provider_error", "outcome_unknown", [])),
    ],
)
def test_trouble_with_the_provider_is_answered_as_everywhere(
    sam: Visitor, holder: AccountHolder, script: Script, values: dict[str, Any], error: Any
) -> None:
    script.next("list_methods", ListMethodsResult(**values))
    script.next("add_method", AddMethodResult(**values))
    script.next("remove_method", RemoveMethodResult(**values))

    listed, started, _nothing = everything(sam)
    removed = sam.send("DELETE", f"{PATH}card_of_{holder.provider_reference}/")

    for answer in (listed, started, removed):
        assert answer.error == error
        assert ("Retry-After" in answer.headers) == (answer.status == 503)


def test_an_account_without_an_answer_is_asked_for_again_under_the_same_key(
    sam: Visitor, script: Script
) -> None:
    script.next("create_account", CreateAccountResult(outcome=Outcome.UNKNOWN))
    sam.headers["Idempotency-Key"] = "one"

    unknown, meanwhile, again = sam.post(PATH, {}), sam.get(PATH), sam.post(PATH, {})

    assert [answer.status for answer in (unknown, meanwhile, again)] == [503, 200, 201]
    assert meanwhile.body == {"results": []}
    first, second = script.requests("create_account")
    assert (first.idempotency_key, first.is_retry) == (second.idempotency_key, False)
    assert second.is_retry


@pytest.mark.shows(
    "Somebody has many cards checked by saving them, with accounts that are new each time",
    "they have to wait",
)
def test_so_many_methods_are_saved_by_one_client_and_not_one_more(settings: Any, script: Script) -> None:
    rates = {"METHOD_SETUPS_PER_CLIENT": "2/hour"}
    settings.PAYMENTS = {**settings.PAYMENTS, "THROTTLES": {**settings.PAYMENTS["THROTTLES"], **rates}}
    cache.clear()
    users = [get_user_model().objects.create_user(f"u{number}") for number in range(3)]
    assert [Visitor(user=user).post(PATH, {}).status for user in users[:2]] == [201, 201]
    calls = len(script.calls)

    refused = Visitor(user=users[2]).post(PATH, {})

    assert refused.error == (429, "throttled", "too_many_setups", [])
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert len(script.calls) == calls
    assert Visitor(user=users[2]).get(PATH).status == 200
    cache.clear()


def test_all_that_asks_the_provider_counts_as_a_request(
    sam: Visitor, holder: AccountHolder, settings: Any
) -> None:
    cache.clear()
    settings.PAYMENTS = {**settings.PAYMENTS, "THROTTLES": {"REQUESTS_PER_CLIENT": "4/day"}}
    path = f"{PATH}card_of_{holder.provider_reference}/"

    asked = [sam.post(PATH), sam.get(PATH), sam.send("HEAD", PATH), sam.send("DELETE", path), sam.post(PATH)]

    assert [answer.status for answer in asked] == [201, 200, 200, 204, 429]
    assert sam.send("DELETE", path).error[:2] == (429, "throttled")
    assert sam.get(PATH).error[:2] == (429, "throttled")
    assert sam.send("HEAD", PATH).status == 429
    cache.clear()


def test_saving_and_removing_need_a_csrf_token(shopper: Any, holder: AccountHolder) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(shopper)
    address = f"/payments/{PATH}"

    refused = [client.post(address, {}, content_type="application/json"), client.delete(f"{address}card_1/")]

    for response in refused:
        assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")
    assert client.get(address).status_code == 200


def asked_for(visitor: Visitor, collection: PaymentCollection, script: Script) -> list[Any]:
    """Have a visitor create, change and authorize a session; return what the provider was asked for."""
    script.calls.clear()
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    created = visitor.post(path, {"provider_id": "scripted", "amount": "1.00", "data": {"token": "t"}})
    path = f"storefront/payment-sessions/{created.body['id']}/"
    visitor.patch(path, {"data": {"token": "t"}})
    visitor.post(f"{path}authorize/", {"data": {"token": "t"}})
    assert [verb for verb, _request in script.calls] == ["initiate", "update", "authorize"]
    requests: list[Any] = [request for _verb, request in script.calls]
    assert [request.input for request in requests] == [{"token": "t"}] * 3
    return requests


def test_a_provider_is_told_whether_it_is_the_customer_who_asks(
    guest: Visitor, collection: PaymentCollection, shopper: Any, holder: AccountHolder, script: Script
) -> None:
    mallory = Visitor(user=get_user_model().objects.create_user("mallory"))
    mallory.headers |= guest.headers
    collection.customer = shopper
    collection.save_fields("customer")

    for stranger in (guest, mallory):
        assert all(request.refuses_saved for request in asked_for(stranger, collection, script))
    customer = Visitor(user=shopper)
    customer.headers |= guest.headers
    assert not any(request.refuses_saved for request in asked_for(customer, collection, script))


def test_where_no_customer_has_an_account_nothing_saved_is_refused(
    guest: Visitor, collection: PaymentCollection, script: Script
) -> None:
    assert not any(request.refuses_saved for request in asked_for(guest, collection, script))


def test_what_is_sent_again_later_is_the_same_request(
    guest: Visitor, collection: PaymentCollection, shopper: Any, holder: AccountHolder, script: Script
) -> None:
    collection.customer = shopper
    collection.save_fields("customer")
    session = services.create_payment_session(collection, provider_id="scripted")
    script.next("authorize", AuthorizeResult(outcome=Outcome.UNKNOWN))
    path = f"storefront/payment-sessions/{session.pk}/authorize/"
    assert guest.post(path, {"data": {"token": "t"}}).status == 202
    collection.customer = None
    collection.save_fields("customer")

    reconcile_operation(PaymentOperation.objects.get(kind="authorize"))

    first, again = script.requests("authorize")
    assert first == again
    assert again.refuses_saved
