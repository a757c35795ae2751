"""Options that can't work are refused when the provider is built, in words that say what to type."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from payments.providers import get_provider
from payments.providers.simulator import SimulatorOptions
from payments.testing import configured_provider
from payments.testing.simulator import BACKEND

pytestmark = pytest.mark.database_independent


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "127.0.0.1:8001"}, "base_url must be an address"),
        ({"base_url": "ftp://127.0.0.1"}, "base_url must be an address"),
        ({"base_url": "http://"}, "base_url must be an address"),
        ({"base_url": "http://:8001"}, "base_url must be an address"),
        ({"base_url": "http://127.0.0.1:port"}, "Port"),
        ({"base_url": "http://127.0.0.1:99999"}, "Port"),
        ({"base_url": "http://user:word@127.0.0.1"}, "base_url must be an address"),
        ({"base_url": "http://127.0.0.1/?a=1"}, "base_url must be an address"),
        ({"api_key": " "}, "blank"),
        ({"api_key": "sk\nX-Injected: 1"}, "plain characters"),
        ({"api_key": "sk_é"}, "plain characters"),
        ({"webhook_secrets": "whsec_1"}, "must be a list"),
        ({"webhook_secrets": ["whsec_1", ""]}, "blank"),
        ({"timeout": 0}, "positive"),
        ({"timeout": -1}, "positive"),
        ({"timeout": float("nan")}, "positive"),
        ({"timeout": float("inf")}, "positive"),
        ({"timeout": "10"}, "timeout|'<' not supported"),
        ({"webhook_tolerance": 0}, "positive"),
        ({"url": "http://127.0.0.1"}, "unknown options url; .* takes api_key, base_url"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], message: str) -> None:
    entry = {"BACKEND": BACKEND, "OPTIONS": options}
    with configured_provider("psp", entry), pytest.raises(ImproperlyConfigured, match=message):
        get_provider("psp")


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:8001", "https://psp.example/sandbox/", "http://[::1]:8001"]
)
def test_options_that_work_are_taken(base_url: str) -> None:
    assert SimulatorOptions(base_url=base_url).base_url == base_url


def test_options_print_no_secret() -> None:
    shown = repr(SimulatorOptions(api_key="sk_private", webhook_secrets=["whsec_private"]))
    assert "private" not in shown
