"""System checks: every one fires, with its id and a hint that says what to type, and a good setting is silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from django.apps import apps
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models import Model
from django.test import RequestFactory
from django.urls import resolve, reverse
from django.utils import timezone
from pytest_django import Settings

from payments import checks, conf
from payments.api.storefront.access import check_return_url
from payments.api.storefront.payables import _resolver
from payments.api.throttling import storefront_throttles
from payments.api.views import authenticators
from payments.providers import configured_providers, get_provider
from payments.providers.system import SystemProvider
from tests.api.pairs import PAIRS, Pairs

SYSTEM = {"BACKEND": "payments.providers.system.SystemProvider"}
SIMULATOR = "payments.providers.simulator.SimulatorProvider"
GOOD: dict[str, Any] = {"PROVIDERS": {"system": SYSTEM}}
LOCAL = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
UNCOUNTED = {name: None for name in conf.DEFAULT_THROTTLES if name.endswith("_PER_CLIENT")}
REDIS = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:6379"}

NO_ALIASES = (
    "stripe/eu",
    "/",
    ".",
    "..",
    " ",
    "a\nb",
    "a\0b",
    "\u200b",
    "\ud800",
    "x" * 65,
    "",
    None,
    5,
    ("a",),
)
"""What no address can carry to a webhook, or no database keep."""

NO_ORIGINS = (
    "https://*.shop.example",
    "https://*",
    "https://shop.example/",
    "https://shop.example/back",
    "https://shop.example?x",
    "https://shop.example#x",
    "https://anna@shop.example",
    "https://anna:secret@shop.example",
    "https://shop.example:",
    "https://shop.example:0",
    "https://shop.example:65536",
    "https://shop.example:https",
    "https://shop..example",
    "https://.example",
    "https://müller.example",
    "https://shop example",
    "https://[::1",
    "https://[1.2.3]",
    " https://shop.example",
    "https://shop.example\n",
    "https:shop.example",
    "//shop.example",
    "https://",
    "myapp://",
    "myapp://back",
    "ftp://shop.example",
    "null",
    "*",
    "",
)

ORIGINS = (
    "https://shop.example",
    "http://localhost:8000",
    "https://127.0.0.1:65535",
    "http://[::1]:8000",
    "https://xn--mller-kva.example",
    "https://SHOP.example:443",
    "https://shop_1.example",
)

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
        ({**GOOD, "PAYABLE_MODELS": "shop.Order"}, "payments.E024"),
        ({**GOOD, "PAYABLE_MODELS": ["shop.Nothing"]}, "payments.E024"),
        ({**GOOD, "PAYABLE_MODELS": ["Order"]}, "payments.E024"),
        ({**GOOD, "PAYABLE_MODELS": [None]}, "payments.E024"),
        ({**GOOD, "PAYABLE_MODELS": ["shop.Order", "stall.CompositeRow"]}, "payments.E024"),
        ({**GOOD, "MARK_AS_PAID_PROVIDER": "cash"}, "payments.E006"),
        ({"PROVIDERS": {"cash": SYSTEM}}, "payments.W006"),
        ({**GOOD, "SESSION_LIFETIME": 3600}, "payments.E007"),
        ({**GOOD, "SESSION_LIFETIME": timedelta(0)}, "payments.E007"),
        ({**GOOD, "RETURN_URL_ORIGINS": "https://shop.example"}, "payments.E008"),
        ({**GOOD, "RETURN_URL_ORIGINS": ["shop.example"]}, "payments.E008"),
        ({**GOOD, "RETURN_URL_ORIGINS": ["https://shop.example/"]}, "payments.E008"),
        ({**GOOD, "RETURN_URL_ORIGINS": ["https://[broken"]}, "payments.E008"),
        *(({**GOOD, "RETURN_URL_ORIGINS": [origin]}, "payments.E008") for origin in NO_ORIGINS),
        *(({"PROVIDERS": {"system": SYSTEM, alias: SYSTEM}}, "payments.E004") for alias in NO_ALIASES),
        ({"PROVIDERS": {"system": {**SYSTEM, "OPTIONS": None}}}, "payments.E004"),
        ({"PROVIDERS": {"system": {**SYSTEM, "STOREFRONT": 1}}}, "payments.E004"),
        ({"PROVIDERS": {"system": {"BACKEND": "payments.providers.BaseProvider"}}}, "payments.E004"),
        ({**GOOD, "SESSION_LIFETIME": timedelta.max}, "payments.E007"),
        ({**GOOD, "THROTTLES": {"REQUESTS_PER_CLIENT": f"{'9' * 5000}/hour"}}, "payments.E012"),
        ({**GOOD, "METRICS_TOKEN": " " * 40}, "payments.E015"),
        ({**GOOD, "STAFF_AUTHENTICATION_CLASSES": ["payments.ids.new_ulid"]}, "payments.E009"),
        ({**GOOD, "STOREFRONT_THROTTLE_CLASSES": ["payments.ids.new_ulid"]}, "payments.E013"),
        ({**GOOD, "ALLOW_PRETEND_MONEY": "no"}, "payments.E026"),
        ({**GOOD, "COMPILE_STATEMENTS": 0}, "payments.E026"),
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
            "card": {"BACKEND": SIMULATOR, "OPTIONS": {"timeout": 3, "api_key": "own"}},
        },
        "ALLOW_PRETEND_MONEY": True,
        "COMPILE_STATEMENTS": True,
        "PAYABLE_RESOLVER": "payments.ids.new_ulid",
        "PAYABLE_MODELS": ["shop.Order", "stall.LinkedRow", "stall.WebBooking"],
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
        ({**GOOD, "THROTTLES": {"REQUESTS_PER_CLIENT": None}}, ["payments.W017"]),
        ({**GOOD, "THROTTLES": UNCOUNTED}, []),
        (
            {
                **GOOD,
                "STOREFRONT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
                "THROTTLES": {**UNCOUNTED, "REQUESTS_PER_CLIENT": "9/day"},
            },
            [],
        ),
        ({**GOOD, "THROTTLES": "15/hour"}, []),  # that is an error first
    ],
)
def test_who_puts_a_shop_into_service_is_asked_for_its_proxies(
    settings: Settings, payments: Any, expected: list[str]
) -> None:
    settings.PAYMENTS = payments
    settings.CACHES = {"default": REDIS}
    messages = checks.check_deployment()
    assert ids(messages) == expected
    assert all('"PROXIES": 1' in str(message.hint) for message in messages)


def test_proxies_and_a_cache_for_all_are_asked_for_in_deployment_alone(settings: Settings) -> None:
    settings.PAYMENTS = GOOD
    settings.CACHES = {"default": LOCAL}
    found = [
        ids(run_checks(tags=["payments"], include_deployment_checks=is_deployment))
        for is_deployment in (False, True)
    ]
    for expected in ("payments.W017", "payments.W018"):
        assert [expected in each for each in found] == [False, True]


@pytest.mark.parametrize(
    ("backend", "is_refused"),
    [
        ("django.core.cache.backends.locmem.LocMemCache", False),
        ("django.core.cache.backends.redis.RedisCache", False),
        ("django.core.cache.backends.memcached.PyMemcacheCache", False),
        ("django.core.cache.backends.memcached.PyLibMCCache", False),
        ("django.core.cache.backends.db.DatabaseCache", True),
        ("django.core.cache.backends.filebased.FileBasedCache", True),
        ("django.core.cache.backends.dummy.DummyCache", True),
        ("shop.nowhere.Cache", True),
    ],
)
def test_cache_that_does_not_count_in_one_step_is_an_error(
    settings: Settings, backend: str, is_refused: bool
) -> None:
    settings.PAYMENTS = GOOD
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "x"}, "payments": LOCAL}
    messages = checks.check_settings()
    assert ids(messages) == ["payments.E022"] * is_refused
    assert all('"THROTTLE_CACHE": "payments"' in str(message.hint) for message in messages)
    settings.PAYMENTS = {**GOOD, "THROTTLE_CACHE": "payments"}
    assert checks.check_settings() == []


def test_cache_is_only_looked_at_where_clients_are_counted_in_it(settings: Settings) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "x"}}
    settings.PAYMENTS = {**GOOD, "THROTTLES": UNCOUNTED}
    assert checks.check_settings() == []
    settings.PAYMENTS = {**GOOD, "THROTTLE_CACHE": "nowhere"}
    assert ids(checks.check_settings()) == ["payments.E022"]


def test_shop_that_is_being_written_may_cache_nothing(settings: Settings) -> None:
    settings.PAYMENTS = GOOD
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    settings.DEBUG = True
    assert checks.check_settings() == []


@pytest.mark.parametrize(("cache", "expected"), [("LOCAL", ["payments.W018"]), ("REDIS", [])])
def test_cache_of_each_process_is_warned_of_in_production(
    settings: Settings, cache: str, expected: list[str]
) -> None:
    settings.CACHES = {"default": {"LOCAL": LOCAL, "REDIS": REDIS}[cache]}
    settings.PAYMENTS = {**GOOD, "PROXIES": 0}
    assert ids(checks.check_deployment()) == expected
    settings.PAYMENTS = {
        **GOOD,
        "PROXIES": 0,
        "THROTTLES": UNCOUNTED,
    }
    assert checks.check_deployment() == []


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


@pytest.mark.parametrize("origin", ORIGINS)
def test_an_origin_that_passes_is_one_to_which_payers_are_sent_back(
    settings: Settings, rf: RequestFactory, origin: str
) -> None:
    settings.PAYMENTS = {**GOOD, "RETURN_URL_ORIGINS": [origin]}
    assert checks.check_settings() == []
    assert check_return_url(f"{origin}/back", rf.get("/"))


def test_an_apps_own_scheme_is_refused_with_what_to_do_instead(settings: Settings) -> None:
    settings.PAYMENTS = {**GOOD, "RETURN_URL_ORIGINS": ["myapp://"]}
    (message,) = checks.check_settings()
    assert "An app's own scheme (myapp://) won't do" in str(message.hint)


@pytest.mark.parametrize(
    "alias", ["stripe", "stripe eu", "Überweisung", "card.eu", "..card", "a?b#c%2F", "x" * 64]
)
def test_an_alias_that_passes_has_a_webhook(settings: Settings, alias: str) -> None:
    settings.PAYMENTS = {"PROVIDERS": {"system": SYSTEM, alias: SYSTEM}}
    assert checks.check_settings() == []
    assert resolve(unquote(reverse("payments:webhook", args=[alias]))).kwargs == {"provider_id": alias}


def nothing_called_so() -> None:
    """Stand for a function where its path belongs."""


NONSENSE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.5, float("nan"), 10**400, "", " ", "x", "no", ".", "..", "a.b", "os.path",
    "builtins.len", "tests.failing.resolve", "\0", "\ud800", b"x", [], ["x"], [None], [[]], (), ("",), set(), {"x"},
    {}, {"x": 1}, {None: None}, {1: {}, "a": {}}, {"x": {"BACKEND": "."}}, {"x": {"BACKEND": ""}}, object(),
    nothing_called_so, timedelta.max, timedelta.min, timedelta(0),
)  # fmt: skip

USES: dict[str, Callable[[], object]] = {
    "PROVIDERS": lambda: [each.alias for each in configured_providers().values()],
    "PAYABLE_MODELS": conf.payable_models,
    "PAYABLE_RESOLVER": lambda: _resolver() if conf.payable_resolver_path() else None,
    "MARK_AS_PAID_PROVIDER": lambda: (
        conf.mark_as_paid_provider() and get_provider(conf.mark_as_paid_provider())
    ),
    "SESSION_LIFETIME": lambda: timezone.now() + (conf.session_lifetime() or timedelta(0)),
    "RETURN_URL_ORIGINS": conf.return_url_origins,
    "STOREFRONT_AUTHENTICATION_CLASSES": lambda: authenticators(conf.storefront_authentication_classes()),
    "STAFF_AUTHENTICATION_CLASSES": lambda: authenticators(conf.staff_authentication_classes()),
    "STOREFRONT_THROTTLE_CLASSES": storefront_throttles,
    "THROTTLES": lambda: [conf.throttle_rate(name) for name in conf.DEFAULT_THROTTLES],
    "PROXIES": lambda: [None][: conf.proxy_count()],
    "METRICS_TOKEN": lambda: str(conf.metrics_token()).encode("ascii"),
    "COMPILE_STATEMENTS": conf.compiles_statements,
    "ALLOW_PRETEND_MONEY": conf.allows_pretend_money,
    "PAYERS_MAY_RELEASE": conf.payers_may_release,
}
"""What each setting is for: to what passes the checks, this is done without an error."""


@pytest.mark.parametrize("name", sorted(conf.SETTING_NAMES))
def test_a_setting_either_works_or_is_refused_in_words_that_say_what_to_type(
    settings: Settings, name: str
) -> None:
    for value in NONSENSE:
        settings.PAYMENTS = {**GOOD, name: value}
        messages = [*checks.check_settings(), *checks.check_deployment()]
        assert all(message.msg and message.hint and message.id for message in messages)
        if not any(message.is_serious() for message in messages):
            USES[name]()


OPTIONS: dict[str, dict[str, Any]] = {
    SIMULATOR: {"api_key": "own"},
    "payments.providers.stripe.StripeProvider": {"api_key": "sk_live_x"},
    "payments.providers.paypal.PayPalProvider": {"client_id": "x", "client_secret": "y"},
}


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("backend", OPTIONS)
def test_an_option_either_works_or_is_refused_by_its_name(
    settings: Settings, backend: str, pairs: Pairs
) -> None:
    settings.PAYMENTS = {
        "PROVIDERS": {"system": SYSTEM, "card": {"BACKEND": backend, "OPTIONS": OPTIONS[backend]}}
    }
    names = [option.name for option in fields(get_provider("card").options)]
    for name, value in pairs(names, NONSENSE):
        entry = {"BACKEND": backend, "OPTIONS": {**OPTIONS[backend], name: value}}
        settings.PAYMENTS = {"PROVIDERS": {"system": SYSTEM, "card": entry}, "ALLOW_PRETEND_MONEY": True}
        errors = [message for message in checks.check_settings() if message.is_serious()]
        assert all(message.id == "payments.E004" and message.hint for message in errors)
        assert all(name in message.msg or "multicapture" in message.msg for message in errors), (name, value)
        if not errors:
            assert get_provider("card").alias == "card"


@pytest.mark.parametrize(
    ("backend", "library", "hint"),
    [
        (
            "payments.providers.stripe.StripeProvider",
            "stripe",
            'pip install "django-payment-sessions[stripe]"',
        ),
        (
            "payments.providers.paypal.PayPalProvider",
            "cryptography",
            'install "django-payment-sessions[paypal]"',
        ),
        ("payments.providers.strype.StripeProvider", "payments.providers.strype", "<dotted path"),
        ("shop.bankly.BanklyProvider", "bankly", "<dotted path"),
    ],
)
def test_a_missing_library_is_told_with_the_extra_that_has_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, backend: str, library: str, hint: str
) -> None:
    def fail(_path: str) -> None:
        raise ModuleNotFoundError(f"No module named {library!r}", name=library)

    monkeypatch.setattr("payments.providers.registry.import_string", fail)
    settings.PAYMENTS = {"PROVIDERS": {"card": {"BACKEND": backend}}}
    (message,) = checks.check_providers()
    assert message.id == "payments.E004"
    assert hint in str(message.hint)


def test_a_plug_in_that_is_broken_is_told_of_and_breaks_no_check(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SystemProvider, "__init__", fail)
    settings.PAYMENTS = {"PROVIDERS": {"system": {**SYSTEM}}}
    (message,) = checks.check_settings()
    assert (message.id, "ZeroDivisionError" in message.msg) == ("payments.E004", True)
