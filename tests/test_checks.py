"""System checks: every one fires, with its id and a hint that says what to type, and a good setting is silent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models import Model
from pytest_django import Settings

from payments import checks

SYSTEM = {"BACKEND": "payments.providers.system.SystemProvider"}
SIMULATOR = "payments.providers.simulator.SimulatorProvider"
GOOD: dict[str, Any] = {"PROVIDERS": {"system": SYSTEM}}

pytestmark = pytest.mark.database_independent


def ids(messages: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


def test_the_suites_own_settings_are_fine() -> None:
    assert [message for message in run_checks(tags=["payments"]) if message.is_serious()] == []


@pytest.mark.parametrize(
    ("payments", "expected"),
    [
        (None, "payments.E001"),
        (["system"], "payments.E001"),
        ({**GOOD, "PROVIDER": {}}, "payments.E002"),
        ({"PROVIDERS": {}, "MARK_AS_PAID_PROVIDER": None}, "payments.E003"),
        ({"PROVIDERS": ["system"]}, "payments.E003"),
        ({"PROVIDERS": {"system": SYSTEM, "card": {}}}, "payments.E004"),
        ({"PROVIDERS": {"system": SYSTEM, "": SYSTEM}}, "payments.E004"),
        ({"PROVIDERS": {"system": SYSTEM, "x" * 65: SYSTEM}}, "payments.E004"),
        ({"PROVIDERS": {"system": {**SYSTEM, "OPTION": {}}}}, "payments.E004"),
        ({"PROVIDERS": {"system": {**SYSTEM, "STOREFRONT": "no"}}}, "payments.E004"),
        ({"PROVIDERS": {"system": {"BACKEND": "payments.nowhere.Provider"}}}, "payments.E004"),
        ({"PROVIDERS": {"system": {"BACKEND": "payments.ids.new_ulid"}}}, "payments.E004"),
        ({"PROVIDERS": {"system": {**SYSTEM, "OPTIONS": {"api_key": "x"}}}}, "payments.E004"),
        (
            {"PROVIDERS": {"system": {"BACKEND": SIMULATOR, "OPTIONS": {"webhook_secrets": [" "]}}}},
            "payments.E004",
        ),
        ({**GOOD, "PAYABLE_RESOLVER": "shop.nowhere.resolve"}, "payments.E005"),
        ({**GOOD, "PAYABLE_RESOLVER": "payments.checks.MAX_ALIAS"}, "payments.E005"),
        ({**GOOD, "MARK_AS_PAID_PROVIDER": "cash"}, "payments.E006"),
        ({"PROVIDERS": {"cash": SYSTEM}}, "payments.W006"),
        ({**GOOD, "SESSION_LIFETIME": 3600}, "payments.E007"),
        ({**GOOD, "SESSION_LIFETIME": timedelta(0)}, "payments.E007"),
        ({**GOOD, "RETURN_URL_ORIGINS": "https://shop.example"}, "payments.E008"),
        ({**GOOD, "RETURN_URL_ORIGINS": ["shop.example"]}, "payments.E008"),
        ({**GOOD, "RETURN_URL_ORIGINS": ["https://shop.example/"]}, "payments.E008"),
        ({**GOOD, "RETURN_URL_ORIGINS": ["https://[broken"]}, "payments.E008"),
        ({**GOOD, "STAFF_AUTHENTICATION_CLASSES": []}, "payments.E009"),
        ({**GOOD, "THROTTLES": "15/hour"}, "payments.E012"),
        ({**GOOD, "THROTTLES": {"LOGINS": "15/hour"}}, "payments.E012"),
        ({**GOOD, "THROTTLES": {"REQUESTS_PER_CLIENT": "15/fortnight"}}, "payments.E012"),
        ({**GOOD, "THROTTLES": {"REQUESTS_PER_CLIENT": "0/hour"}}, "payments.E012"),
        ({**GOOD, "THROTTLES": {"REQUESTS_PER_CLIENT": 15}}, "payments.E012"),
        ({**GOOD, "STOREFRONT_THROTTLE_CLASSES": "shop.Throttle"}, "payments.E013"),
        ({**GOOD, "STOREFRONT_THROTTLE_CLASSES": ["shop.nowhere.Throttle"]}, "payments.E013"),
        ({**GOOD, "PROXIES": -1}, "payments.E014"),
        ({**GOOD, "PROXIES": True}, "payments.E014"),
        ({**GOOD, "PROXIES": "1"}, "payments.E014"),
        ({**GOOD, "METRICS_TOKEN": ""}, "payments.E015"),
        ({**GOOD, "METRICS_TOKEN": "short"}, "payments.E015"),
        ({**GOOD, "STAFF_AUTHENTICATION_CLASSES": "shop.Auth"}, "payments.E009"),
        ({**GOOD, "STOREFRONT_AUTHENTICATION_CLASSES": ["shop.nowhere.Auth"]}, "payments.E009"),
    ],
)
def test_a_wrong_setting_is_told_with_what_to_type(settings: Settings, payments: Any, expected: str) -> None:
    settings.PAYMENTS = payments
    messages = checks.check_settings()
    assert expected in ids(messages)
    assert all(message.hint for message in messages)


def test_an_unknown_option_names_alias_option_and_what_may_be_typed(settings: Settings) -> None:
    settings.PAYMENTS = {
        "PROVIDERS": {"system": SYSTEM, "card": {"BACKEND": SIMULATOR, "OPTIONS": {"url": "x"}}}
    }
    (message,) = checks.check_settings()
    assert 'PAYMENTS["PROVIDERS"]["card"]["OPTIONS"] has unknown options url' in message.msg
    assert "base_url" in message.msg


def test_a_resolver_that_cannot_be_imported_says_why(settings: Settings) -> None:
    settings.PAYMENTS = {**GOOD, "PAYABLE_RESOLVER": "shop.nowhere.resolve"}
    (message,) = checks.check_settings()
    assert message.msg.endswith("is not the dotted path of a function: No module named 'shop'.")


def test_urls_that_nobody_includes_are_warned_of(settings: Settings) -> None:
    assert checks.check_urls() == []
    settings.ROOT_URLCONF = "django.contrib.auth.urls"
    (message,) = checks.check_urls()
    assert message.id == "payments.W016"
    assert 'include("payments.urls")' in str(message.hint)


def test_a_full_setting_is_silent(settings: Settings) -> None:
    settings.PAYMENTS = {
        "PROVIDERS": {
            "system": {**SYSTEM, "STOREFRONT": True},
            "card": {"BACKEND": SIMULATOR, "OPTIONS": {"timeout": 3}},
        },
        "PAYABLE_RESOLVER": "payments.ids.new_ulid",
        "MARK_AS_PAID_PROVIDER": "system",
        "SESSION_LIFETIME": timedelta(hours=1),
        "RETURN_URL_ORIGINS": ["https://shop.example", "http://127.0.0.1:8000"],
        "STAFF_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"],
        "STOREFRONT_THROTTLE_CLASSES": ["payments.api.throttling.ClientThrottle"],
        "THROTTLES": {"SESSIONS_PER_COLLECTION": None, "REQUESTS_PER_CLIENT": "10/second"},
        "PROXIES": 0,
        "METRICS_TOKEN": "n3-QmWc6H1kB0x9aVtYu2Lr8",
    }
    assert checks.check_settings() == []


@pytest.mark.parametrize(
    ("payments", "expected"),
    [
        (GOOD, ["payments.W017"]),
        ({**GOOD, "PROXIES": None}, ["payments.W017"]),
        ({**GOOD, "PROXIES": 0}, []),
        ({**GOOD, "PROXIES": 1}, []),
        ({**GOOD, "THROTTLES": {"REQUESTS_PER_CLIENT": None}}, []),
        ({**GOOD, "STOREFRONT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"]}, []),
        ({**GOOD, "THROTTLES": "15/hour"}, []),  # that is an error first
    ],
)
def test_who_puts_a_shop_into_service_is_asked_for_its_proxies(
    settings: Settings, payments: Any, expected: list[str]
) -> None:
    settings.PAYMENTS = payments
    messages = checks.check_deployment()
    assert ids(messages) == expected
    assert all('"PROXIES": 1' in str(message.hint) for message in messages)


def test_proxies_are_asked_for_in_deployment_alone(settings: Settings) -> None:
    settings.PAYMENTS = GOOD
    found = [
        ids(run_checks(tags=["payments"], include_deployment_checks=is_deployment))
        for is_deployment in (False, True)
    ]
    assert ["payments.W017" in each for each in found] == [False, True]


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ({"ENGINE": "django.db.backends.postgresql"}, []),
        ({"ENGINE": "django.db.backends.postgresql", "ATOMIC_REQUESTS": True}, ["payments.W010"]),
        ({"ENGINE": "django.db.backends.sqlite3"}, ["payments.W011"]),
        (
            {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"transaction_mode": "DEFERRED"}},
            ["payments.W011"],
        ),
        ({"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"transaction_mode": "IMMEDIATE"}}, []),
    ],
)
def test_databases_that_get_in_the_way_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, database: dict[str, Any], expected: list[str]
) -> None:
    monkeypatch.setattr("django.conf.settings.DATABASES", {"default": database})
    assert ids(checks.check_databases()) == expected


class Router:
    """A router that writes one model to one database, the others to another, and reads from a third."""

    def __init__(self, **elsewhere: str) -> None:
        self.elsewhere = elsewhere

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """Name the replica."""
        return "replica"

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        """Name the model's own database, or else the others'."""
        return self.elsewhere.get(model.__name__, "default")


def test_router_for_reads_is_fine(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [Router()]
    assert checks.check_routers(databases=["default"]) == []


def test_router_that_writes_to_several_databases_is_an_error(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [Router(PaymentEvent="archive")]
    (message,) = run_checks(tags=["database"])
    assert message.id == "payments.E018"
    assert "payments.PaymentEvent to 'archive'" in message.msg
    assert "db_for_write" in str(message.hint)


@pytest.mark.parametrize(
    ("databases", "expected"), [(None, []), (["other"], []), (["default"], ["payments.E019"])]
)
def test_database_without_transactions_is_an_error_where_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, databases: list[str] | None, expected: list[str]
) -> None:
    monkeypatch.setattr(connection.features, "supports_transactions", False)
    assert ids(checks.check_routers(databases=databases)) == expected


@pytest.mark.parametrize(
    ("distributions", "expected"),
    [
        ({"django_fsm": ["django-fsm-2"], "payments": ["django-payment-sessions"]}, []),
        ({"django_fsm": ["django-fsm-2", "django-fsm"]}, ["payments.E020"]),
        ({"payments": ["django-payments"]}, ["payments.E021"]),
    ],
)
def test_a_distribution_that_overwrites_ours_is_an_error(
    monkeypatch: pytest.MonkeyPatch, distributions: dict[str, list[str]], expected: list[str]
) -> None:
    monkeypatch.setattr("payments.checks.metadata.packages_distributions", lambda: distributions)
    assert ids(checks.check_distributions()) == expected


def test_a_package_that_was_overwritten_says_so_instead_of_falling_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("payments.PurchasedItem", object, raising=False)
    with pytest.raises(ImproperlyConfigured, match="pip uninstall django-payments"):
        apps.get_app_config("payments").import_models()
