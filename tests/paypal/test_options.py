"""What the provider can be configured with, and what the system checks say about it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.test import override_settings

from payments.checks import check_providers
from payments.providers.paypal import PayPalOptions, PayPalProvider
from payments.testing import configured_provider
from tests.paypal.conftest import BACKEND

pytestmark = pytest.mark.database_independent

GOOD: dict[str, Any] = {
    "client_id": "AbC-1_x",
    "client_secret": "EfG-2_y",
    "livemode": False,
    "webhook_ids": ["8PT597110X687430L"],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"client_id": " "}, "client_id must be plain characters"),
        ({"client_id": "a:b"}, "client_id must be plain characters"),
        ({"client_secret": ""}, "client_secret must be plain characters"),
        ({"client_secret": "sécret"}, "client_secret must be plain characters"),
        ({"webhook_ids": "8PT597110X687430L"}, "webhook_ids must be a list"),
        ({"webhook_ids": ["https://shop.example/payments/webhooks/paypal/"]}, "not their addresses"),
        ({"webhook_ids": [""]}, "webhook_ids must be the ids"),
        ({"intent": "AUTHORIZE"}, 'intent must be "authorize" or "capture"'),
        ({"intent": "capture", "multicapture": True}, 'multicapture needs "intent": "authorize"'),
        ({"shipping_preference": "PICKUP"}, "shipping_preference must be one of"),
        ({"payment_method_preference": "FAST"}, "payment_method_preference must be one of"),
        ({"soft_descriptor": "x" * 23}, "soft_descriptor must have at most 22"),
        ({"brand_name": "x" * 128}, "brand_name must have at most 127"),
        ({"base_url": "api-m.sandbox.paypal.com"}, "base_url must be an address without a path"),
        ({"base_url": "https://api-m.sandbox.paypal.com/v2"}, "base_url must be an address without a path"),
        ({"base_url": "http://api-m.sandbox.paypal.com"}, "base_url must be https"),
        ({"base_url": "https://api-m.paypal.com"}, "base_url is of the other mode; pretend money is meant"),
        ({"livemode": True, "base_url": "https://api-m.sandbox.paypal.com"}, "real money is meant"),
        ({"livemode": True, "base_url": "http://127.0.0.1:1"}, "base_url must be https"),
        ({"timeout": 0}, "timeout must be a positive number"),
        ({"timeout": 21}, "timeout must be a positive number of seconds, at most 20"),
        ({"timeout": float("nan")}, "timeout must be a positive number"),
        ({"webhook_tolerance": float("inf")}, "webhook_tolerance must be a positive number"),
    ],
)
def test_bad_options_say_what_they_must_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        PayPalOptions(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("livemode", "url"),
    [(True, "https://api-m.paypal.com"), (False, "https://api-m.sandbox.paypal.com")],
)
def test_the_mode_says_where_paypal_is(livemode: bool, url: str) -> None:
    assert PayPalOptions(**{**GOOD, "livemode": livemode}).url == url


def test_real_money_is_meant_unless_it_is_said() -> None:
    assert PayPalOptions(client_id="a", client_secret="b").livemode


def test_options_print_no_secret() -> None:
    shown = repr(PayPalOptions(**{**GOOD, "client_secret": "top-secret"}))
    assert "top-secret" not in shown


def messages_for(**options: Any) -> list[CheckMessage]:
    with configured_provider("paypal", {"BACKEND": BACKEND, "OPTIONS": options}):
        return check_providers()


def test_real_money_while_developing_is_warned_of() -> None:
    with override_settings(DEBUG=True):
        [message] = messages_for(**{**GOOD, "livemode": True})
    assert message.id == "payments.W040"
    assert '"livemode": False' in str(message.hint)


def test_good_options_pass_the_check_in_either_mode() -> None:
    with override_settings(DEBUG=True):
        assert messages_for(**GOOD) == []
    with override_settings(DEBUG=False):
        assert messages_for(**GOOD) == []
        assert messages_for(**{**GOOD, "livemode": True}) == []


def test_missing_webhook_ids_are_warned_of() -> None:
    [message] = messages_for(**{**GOOD, "webhook_ids": []})
    assert message.id == "payments.W041"
    assert '"webhook_ids": [' in str(message.hint)


def test_an_address_of_the_other_mode_is_refused_by_the_check() -> None:
    [message] = messages_for(**{**GOOD, "base_url": "https://api-m.paypal.com"})
    assert message.id == "payments.E004"
    assert GOOD["client_secret"] not in str(message)


def test_unknown_option_names_the_alias() -> None:
    [message] = messages_for(**GOOD, secret="x")
    assert '"paypal"' in message.msg
    assert "unknown options secret" in message.msg


def test_capabilities_are_those_of_the_account() -> None:
    one = PayPalProvider(alias="paypal", options=PayPalOptions(**GOOD))
    many = PayPalProvider(alias="paypal", options=PayPalOptions(**GOOD, multicapture=True))
    assert (one.supports_multiple_captures, many.supports_multiple_captures) == (False, True)
    assert PayPalProvider.supports_multiple_captures is False


@pytest.mark.thorough
def test_nothing_imports_what_paypal_needs_unless_it_is_configured() -> None:
    program = (
        "import django, sys\n"
        "django.setup()\n"
        "from django.core.management import get_commands, call_command\n"
        "get_commands(); call_command('check')\n"
        "import payments.services, payments.api.staff.urls, payments.webhooks\n"
        "loaded = [name for name in sys.modules if name.startswith(('cryptography', 'payments.providers.paypal'))]\n"
        "assert not loaded, 'imported without need'\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin:/bin"},
        timeout=60,
    )
