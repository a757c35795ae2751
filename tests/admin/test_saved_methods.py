"""What a customer has saved: asked from the provider only on demand, and removed by those who may, after a question."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.db import connections
from django.test import Client
from django.urls import reverse

from payments.models import AccountHolder, PaymentProvider
from payments.providers.account_holders import ListMethodsResult, RemoveMethodResult, SavedPaymentMethod
from payments.services import create_account_holder
from payments.states import Outcome
from payments.testing import Script
from payments.testing.factories import AccountHolderFactory
from tests.admin.acting import act, action_url, confirm, inputs, open_form, told
from tests.admin.conftest import Viewer
from tests.admin.pages import html, page, panel, text
from tests.admin.scenes import make_customer

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

SLUG = "remove-method"
AWAY = ListMethodsResult(outcome=Outcome.NOT_SENT)
SILENT = ListMethodsResult(outcome=Outcome.UNKNOWN)


@pytest.fixture
def holder(db: None, script: Script) -> AccountHolder:
    """Return a customer's account with one saved card."""
    return create_account_holder(make_customer(), provider_id="scripted")


def saved_page(holder: AccountHolder) -> str:
    """Return the address of the page on which the provider is asked."""
    return reverse("admin:payments_accountholder_saved_methods", args=[quote(holder.pk)])


def card_of(holder: AccountHolder) -> str:
    return f"card_of_{holder.provider_reference}"


def test_the_page_asks_the_provider_for_nothing_until_somebody_wants_to_know(
    operator: Client, holder: AccountHolder, script: Script
) -> None:
    asked = len(script.calls)

    shown = html(operator, page(holder))

    assert len(script.calls) == asked
    assert "Ask the provider" in panel(shown, "saved-methods")
    assert f'href="{saved_page(holder)}#saved-methods"' in shown


def test_what_is_saved_is_shown_by_brand_last_digits_and_expiry(
    operator: Client, holder: AccountHolder
) -> None:
    shown = panel(html(operator, saved_page(holder)), "saved-methods")

    assert "visa •••• 4242 until 2034-12" in shown
    assert card_of(holder) in shown


def test_a_method_that_says_little_is_shown_all_the_same(
    operator: Client, holder: AccountHolder, script: Script
) -> None:
    wallet = SavedPaymentMethod(id="<b>w_1</b>", type="wallet")
    script.next("list_methods", ListMethodsResult(outcome=Outcome.SUCCEEDED, methods=(wallet,)))

    shown = html(operator, saved_page(holder))

    assert "wallet" in panel(shown, "saved-methods")
    assert "<b>w_1</b>" not in shown


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (AWAY, "can't be reached right now"),
        (SILENT, "no usable answer"),
        (RuntimeError("secret"), "no usable answer"),
        (ListMethodsResult(outcome=Outcome.DECLINED), "declined"),
        (ListMethodsResult(outcome=Outcome.SUCCEEDED), "The customer has saved no payment method."),
    ],
)
def test_a_provider_that_does_not_answer_breaks_no_page(
    operator: Client, holder: AccountHolder, script: Script, answer: Any, words: str
) -> None:
    script.next("list_methods", answer)

    shown = html(operator, saved_page(holder))

    assert words in panel(shown, "saved-methods")
    assert "Ask again" in panel(shown, "saved-methods")
    assert "secret" not in shown


def test_an_account_at_a_provider_that_keeps_or_is_nothing_has_no_such_panel(
    operator: Client, script: Script
) -> None:
    for alias in ("system", "gone"):
        row = AccountHolderFactory.create(provider=PaymentProvider.objects.create(pk=alias))
        for url in (page(row), saved_page(row)):
            shown = html(operator, url)
            assert 'id="saved-methods"' not in shown
            assert SLUG not in shown
        assert operator.get(action_url(row, SLUG)).status_code == 302


def test_a_saved_method_is_removed_after_a_question_and_that_is_logged(
    operator: Client, holder: AccountHolder, script: Script
) -> None:
    form = html(operator, action_url(holder, SLUG))
    assert "visa •••• 4242 until 2034-12" in text(form)
    asked = operator.post(
        action_url(holder, SLUG), {**open_form(operator, holder, SLUG), "method_id": card_of(holder)}
    )
    assert "Nothing brings it back" in text(asked.content.decode())
    assert script.requests("remove_method") == []

    done = confirm(operator, holder, SLUG, inputs(asked.content.decode()), method_id=card_of(holder))

    assert told(done) == f"Scripted has forgotten the payment method {card_of(holder)}."
    [request] = script.requests("remove_method")
    assert request.method_id == card_of(holder)
    entry = LogEntry.objects.get()
    assert "Remove a saved payment method" in entry.get_change_message()
    assert card_of(holder) in entry.get_change_message()


def test_pressing_twice_removes_once_and_another_can_be_removed_afterwards(
    operator: Client, holder: AccountHolder, script: Script
) -> None:
    sent = open_form(operator, holder, SLUG)
    first, second = (confirm(operator, holder, SLUG, sent, method_id=card_of(holder)) for _press in range(2))
    assert "has forgotten" in told(first)
    assert "You have done this already" in told(second)
    assert len(script.requests("remove_method")) == 1

    act(operator, holder, SLUG, method_id=card_of(holder))
    assert len(script.requests("remove_method")) == 2


def test_anothers_method_cannot_be_named(operator: Client, holder: AccountHolder, script: Script) -> None:
    sent = open_form(operator, holder, SLUG)
    refused = confirm(operator, holder, SLUG, sent, method_id="card_of_somebody_else")

    assert refused.status_code == 200
    assert "Select a valid choice" in text(refused.content.decode())
    assert script.requests("remove_method") == []


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.UNKNOWN, "Look whether it is still listed"),
        (Outcome.NOT_SENT, "can't be reached right now"),
        (Outcome.DECLINED, "The provider refused"),
    ],
)
def test_what_could_not_be_removed_is_told_and_may_be_tried_again(
    operator: Client, holder: AccountHolder, script: Script, outcome: Outcome, words: str
) -> None:
    script.next("remove_method", RemoveMethodResult(outcome=outcome))
    sent = open_form(operator, holder, SLUG)

    assert words in told(confirm(operator, holder, SLUG, sent, method_id=card_of(holder)))
    assert "has forgotten" in told(confirm(operator, holder, SLUG, sent, method_id=card_of(holder)))


def test_a_provider_that_is_away_breaks_no_form(
    operator: Client, holder: AccountHolder, script: Script
) -> None:
    sent = open_form(operator, holder, SLUG)
    script.next("list_methods", AWAY, AWAY)

    opened = operator.get(action_url(holder, SLUG))
    confirmed = confirm(operator, holder, SLUG, sent, method_id=card_of(holder))

    assert opened.status_code == 302
    assert "can't be reached right now" in told(opened)
    assert "can't be reached right now" in text(confirmed.content.decode())
    assert script.requests("remove_method") == []


def test_who_may_only_look_sees_them_and_has_no_button(
    viewer: Viewer, holder: AccountHolder, script: Script
) -> None:
    client = viewer("view_accountholder")

    assert "4242" in html(client, saved_page(holder))
    assert SLUG not in html(client, page(holder))
    assert client.get(action_url(holder, SLUG)).status_code == 403
    assert client.post(action_url(holder, SLUG), {"confirmed": "1"}).status_code == 403
    assert client.post(saved_page(holder)).status_code == 405
    assert script.requests("remove_method") == []


def test_who_may_not_look_is_told_nothing(viewer: Viewer, holder: AccountHolder, script: Script) -> None:
    client = viewer("remove_saved_method")
    asked = len(script.calls)

    assert client.get(saved_page(holder)).status_code == 403
    assert client.get(action_url(holder, SLUG)).status_code == 403
    assert Client().get(saved_page(holder)).status_code == 302
    assert len(script.calls) == asked


def test_view_and_its_permission_are_enough_to_remove(
    viewer: Viewer, holder: AccountHolder, script: Script
) -> None:
    client = viewer("view_accountholder", "remove_saved_method")
    assert "has forgotten" in told(act(client, holder, SLUG, method_id=card_of(holder)))


@pytest.mark.django_db(transaction=True)
def test_it_works_under_atomic_requests(
    operator: Client, holder: AccountHolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    assert "4242" in html(operator, saved_page(holder))
    assert "has forgotten" in told(act(operator, holder, SLUG, method_id=card_of(holder)))
