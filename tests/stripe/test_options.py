"""The options of the Stripe provider: what is refused, and in which words."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import CheckMessage

from payments.checks import check_providers
from payments.providers.stripe import StripeOptions, StripeProvider
from payments.providers.stripe.options import API_VERSION
from payments.testing import configured_provider
from tests.stripe.conftest import BACKEND

pytestmark = pytest.mark.database_independent

GOOD: dict[str, Any] = {"api_key": "sk_test_x", "webhook_secrets": ["whsec_x"], "livemode": False}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"api_key": ""}, "api_key"),
        ({"api_key": "   "}, "api_key"),
        ({"api_key": "sk_test_ü"}, "plain characters"),
        ({"api_key": "sk_test_x\n"}, "plain characters"),
        ({"api_key": "pk_test_x"}, "secret or restricted key"),
        ({"api_key": "sk_live_x"}, "other mode"),
        ({"livemode": True}, "other mode"),
        ({"publishable_key": "sk_test_x"}, '"pk_"'),
        ({"publishable_key": "pk_live_x"}, "publishable_key is a key of the other mode"),
        ({"webhook_secrets": "whsec_x"}, "must be a list"),
        ({"webhook_secrets": [""]}, "blank"),
        ({"webhook_secrets": ["whsec_x", " "]}, "blank"),
        ({"payment_method_types": "card"}, "must be a list"),
        ({"capture_method": "later"}, "capture_method"),
        ({"setup_future_usage": "always"}, "setup_future_usage"),
        ({"multicapture": True, "capture_method": "automatic"}, "multicapture"),
        ({"api_version": "2022-11-15"}, "api_version"),
        ({"api_base": "api.stripe.com"}, "api_base"),
        ({"api_base": "https://api.stripe.com/v1"}, "api_base"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"webhook_tolerance": -1}, "webhook_tolerance"),
        ({"max_network_retries": 4}, "max_network_retries"),
        ({"max_network_retries": -1}, "max_network_retries"),
        ({"timeout": 60, "max_network_retries": 1}, "abandoned"),
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        StripeOptions(**{**GOOD, **changes})


def test_live_calls_do_not_go_over_plain_http() -> None:
    with pytest.raises(ValueError, match="https"):
        StripeOptions(api_key="sk_live_x", api_base="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("key", "livemode", "is_live"),
    [
        ("sk_test_x", None, False),
        ("rk_test_x", False, False),
        ("sk_live_x", None, True),
        ("rk_live_x", True, True),
    ],
)
def test_mode_goes_by_the_key_unless_it_is_said(key: str, livemode: bool | None, is_live: bool) -> None:
    assert StripeOptions(api_key=key, livemode=livemode).is_live is is_live


def test_options_print_no_secret() -> None:
    shown = repr(StripeOptions(api_key="sk_test_secret", webhook_secrets=["whsec_secret"]))
    assert "secret" not in shown.replace("webhook_secrets", "")


def test_api_version_is_pinned() -> None:
    assert StripeOptions(**GOOD).api_version == API_VERSION == "2026-10-28.endive"


def messages_for(**options: Any) -> list[CheckMessage]:
    with configured_provider("stripe", {"BACKEND": BACKEND, "OPTIONS": options}):
        return check_providers()


def test_working_options_are_silent() -> None:
    assert messages_for(**GOOD) == []
    assert messages_for(api_key="sk_live_x", webhook_secrets=["whsec_x"]) == []


def test_missing_webhook_secrets_are_warned_of() -> None:
    [message] = messages_for(api_key="sk_live_x")
    assert message.id == "payments.W031"


def test_live_key_where_pretend_money_is_meant_is_refused_by_the_check() -> None:
    [message] = messages_for(api_key="sk_live_x", livemode=False)
    assert message.id == "payments.E004"
    assert "sk_live_x" not in str(message)


def test_unknown_option_names_the_alias() -> None:
    [message] = messages_for(**GOOD, secret="x")
    assert '"stripe"' in message.msg
    assert "unknown options secret" in message.msg


def test_capabilities_are_those_of_the_account() -> None:
    one = StripeProvider(alias="stripe", options=StripeOptions(**GOOD))
    many = StripeProvider(alias="stripe", options=StripeOptions(**GOOD, multicapture=True))
    assert (one.supports_multiple_captures, many.supports_multiple_captures) == (False, True)
    assert StripeProvider.supports_multiple_captures is False


@pytest.mark.thorough
def test_nothing_imports_stripe_unless_it_is_configured() -> None:
    program = (
        "import django, sys\n"
        "django.setup()\n"
        "from django.core.management import get_commands, call_command\n"
        "get_commands(); call_command('check')\n"
        "import payments.services, payments.api.staff.urls, payments.webhooks, payments.testing\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'stripe'], 'stripe was imported'\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin:/bin"},
        timeout=60,
    )
