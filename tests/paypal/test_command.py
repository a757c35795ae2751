"""The command that looks whether PayPal sends what is needed."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from payments.providers.paypal.webhooks import EVENTS
from payments.testing import configured_provider
from tests.fakes import Json
from tests.paypal.conftest import BACKEND, options_for
from tests.paypal.fake import FakePayPal, Fault
from tests.paypal.fake.signing import WEBHOOK_ID

pytestmark = pytest.mark.database_independent

URL = "https://shop.example/payments/webhooks/paypal/"


def webhook(events: Iterable[str] = EVENTS, *, url: str = URL, webhook_id: str = WEBHOOK_ID) -> Json:
    return {"id": webhook_id, "url": url, "event_types": [{"name": name} for name in events]}


def run(**options: str) -> str:
    out = StringIO()
    call_command("payments_paypal_webhooks", stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize("events", [list(EVENTS), ["*"], [*EVENTS, "INVOICING.INVOICE.PAID"]])
def test_a_webhook_with_all_events_is_complete(shop: FakePayPal, events: list[str]) -> None:
    shop.webhooks = [webhook(events), webhook(url="https://shop.example/other/")]
    assert run() == f"{URL}: complete\n"


def test_missing_events_are_named(shop: FakePayPal, capsys: pytest.CaptureFixture[str]) -> None:
    shop.webhooks = [webhook(name for name in EVENTS if name != "PAYMENT.REFUND.FAILED")]
    with pytest.raises(CommandError):
        call_command("payments_paypal_webhooks")
    assert capsys.readouterr().out.splitlines()[1:] == ["  missing: PAYMENT.REFUND.FAILED"]


def test_an_id_that_is_not_in_the_options_is_told(
    shop: FakePayPal, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.webhooks = [webhook(webhook_id="9OTHER00000000000")]
    with pytest.raises(CommandError):
        call_command("payments_paypal_webhooks")
    assert '"webhook_ids": ["9OTHER00000000000"]' in capsys.readouterr().out


@pytest.mark.shows(
    "The app at PayPal may not read disputes",
    "The command that checks its webhooks says what to do, and each payment that is looked at without them is logged",
)
def test_an_app_that_may_not_read_disputes_is_told(
    shop: FakePayPal, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.webhooks = [webhook()]
    shop.movements.may_read_disputes = False
    with pytest.raises(CommandError):
        call_command("payments_paypal_webhooks")
    assert "permission “Disputes”" in capsys.readouterr().out


def test_without_a_webhook_it_says_which_to_add(shop: FakePayPal) -> None:
    with pytest.raises(CommandError, match="/payments/webhooks/paypal/") as caught:
        run()
    assert "PAYMENT.CAPTURE.COMPLETED" in str(caught.value)


def test_refused_credentials_are_not_shown(shop: FakePayPal) -> None:
    options = options_for(shop, client_secret="wrong-secret")
    with (
        configured_provider("paypal", {"BACKEND": BACKEND, "OPTIONS": options}),
        pytest.raises(CommandError, match="api_key_refused") as caught,
    ):
        run()
    assert "wrong-secret" not in str(caught.value)


def test_no_answer_is_said_in_words(shop: FakePayPal) -> None:
    shop.misbehave("webhooks", Fault.GARBAGE_BEFORE)
    with pytest.raises(CommandError, match="no usable answer"):
        run()


@pytest.mark.parametrize(("alias", "text"), [("system", "is not PayPal"), ("nobody", "nobody")])
def test_only_a_paypal_provider_can_be_looked_at(shop: FakePayPal, alias: str, text: str) -> None:
    system = {"BACKEND": "payments.providers.system.SystemProvider"}
    with configured_provider("system", system), pytest.raises(CommandError, match=text):
        run(provider=alias)
