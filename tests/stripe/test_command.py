"""The command that looks whether Stripe sends what is needed."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from payments.providers.stripe.webhooks import EVENTS
from payments.testing import configured_provider
from tests.stripe.conftest import BACKEND, options_for
from tests.stripe.fake import FakeStripe, Fault
from tests.stripe.fake.books import API_VERSION

pytestmark = pytest.mark.database_independent

URL = "https://shop.example/payments/webhooks/stripe/"


def endpoint(**changes: Any) -> dict[str, Any]:
    return {
        "id": "we_1",
        "object": "webhook_endpoint",
        "url": URL,
        "status": "enabled",
        "enabled_events": list(EVENTS),
        "api_version": API_VERSION,
        "livemode": False,
        **changes,
    }


def run(**options: Any) -> str:
    out = StringIO()
    call_command("payments_stripe_webhooks", stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize("events", [list(EVENTS), ["*"], [*EVENTS, "invoice.paid"]])
def test_an_endpoint_with_all_events_is_complete(shop: FakeStripe, events: list[str]) -> None:
    shop.endpoints = [endpoint(enabled_events=events), endpoint(url="https://shop.example/other/")]
    assert run() == f"{URL}: complete\n"


def test_missing_events_are_named(shop: FakeStripe, capsys: pytest.CaptureFixture[str]) -> None:
    events = [name for name in EVENTS if name not in ("refund.failed", "charge.dispute.created")]
    shop.endpoints = [endpoint(enabled_events=events)]
    with pytest.raises(CommandError):
        call_command("payments_stripe_webhooks")
    shown = capsys.readouterr().out
    assert [line.strip() for line in shown.splitlines()[1:]] == [
        "missing: refund.failed",
        "missing: charge.dispute.created",
    ]


def test_a_disabled_endpoint_is_not_good_enough(shop: FakeStripe) -> None:
    shop.endpoints = [endpoint(status="disabled")]
    with pytest.raises(CommandError):
        run()


def test_another_api_version_is_told(shop: FakeStripe) -> None:
    shop.endpoints = [endpoint(api_version="2022-11-15")]
    assert "2022-11-15" in run()


def test_without_an_endpoint_it_says_which_to_add(shop: FakeStripe) -> None:
    shop.endpoints = [endpoint(url="https://shop.example/")]
    with pytest.raises(CommandError, match="/payments/webhooks/stripe/") as caught:
        run()
    assert "payment_intent.succeeded" in str(caught.value)


def test_it_never_shows_a_key(shop: FakeStripe) -> None:
    with (
        configured_provider(
            "stripe", {"BACKEND": BACKEND, "OPTIONS": options_for(shop, api_key="sk_test_wrong")}
        ),
        pytest.raises(CommandError) as caught,
    ):
        run()
    assert "sk_test" not in str(caught.value)


def test_no_answer_is_said_in_words(shop: FakeStripe) -> None:
    shop.misbehave("endpoints", Fault.GARBAGE_BEFORE)
    with pytest.raises(CommandError, match="no usable answer"):
        run()


@pytest.mark.parametrize(("alias", "text"), [("system", "is not Stripe"), ("nobody", "nobody")])
def test_only_a_stripe_provider_can_be_looked_at(shop: FakeStripe, alias: str, text: str) -> None:
    system = {"BACKEND": "payments.providers.system.SystemProvider"}
    with configured_provider("system", system), pytest.raises(CommandError, match=text):
        run(provider=alias)


def test_an_endpoint_without_its_slash_is_the_same(shop: FakeStripe) -> None:
    shop.endpoints = [endpoint(url=URL.rstrip("/"))]
    assert run() == f"{URL.rstrip('/')}: complete\n"


def test_where_no_address_is_there_the_command_says_so(shop: FakeStripe, settings: Any) -> None:
    settings.ROOT_URLCONF = "django.contrib.auth.urls"
    with pytest.raises(CommandError, match=r"payments\.urls is included nowhere"):
        run()
