"""System checks of the settings, the routers and the URLconf, with hints that show what to write instead.

No check uses the network or reads a row; only for databases named to `migrate` or `check --database`, their features
are checked. Ids are never reused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from importlib import metadata
from typing import Any, Final
from urllib.parse import urlsplit

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router
from django.db.models import BinaryField, CompositePrimaryKey
from django.utils.module_loading import import_string

from payments import conf
from payments.addresses import places_of
from payments.providers import BaseProvider, configured_providers, get_provider
from payments.providers.public_data import undeclarable
from payments.providers.registry import is_pretending

AppConfigs = Sequence[AppConfig] | None
Checks = list[CheckMessage]

MAX_ALIAS: Final = 64
MIN_TOKEN: Final = 20
LONGEST_LIFETIME: Final = timedelta(days=36_500)
CLIENT_THROTTLE: Final = "payments.api.throttling.ClientThrottle"

_TOKEN: Final = re.compile(rf"[\x21-\x7e]{{{MIN_TOKEN},}}")
_ORIGIN: Final = re.compile(
    r"https?://(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?)(:[0-9]{1,5})?"
)

DJANGO_PAYMENTS: Final = "django-payments is installed, and has a package `payments` too."
HOW_TO_LEAVE_DJANGO_PAYMENTS: Final = (
    "The two can't share an environment. Type: pip uninstall django-payments && "
    "pip install --force-reinstall django-payment-sessions"
)


FLAGS: Final = {"ALLOW_PRETEND_MONEY": False, "COMPILE_STATEMENTS": True, "PAYERS_MAY_RELEASE": False}
"""The boolean settings, each with its default."""


def check_settings(app_configs: AppConfigs = None, **_options: Any) -> Checks:
    """Check that PAYMENTS is a dict of known settings (E001, E002), and each one of them (E003 to E026)."""
    configured = getattr(settings, "PAYMENTS", None)
    if not isinstance(configured, Mapping):
        return [
            Error(
                "PAYMENTS is not set to a dict.",
                hint='Type: PAYMENTS = {"PROVIDERS": {"system": '
                '{"BACKEND": "payments.providers.system.SystemProvider"}}}',
                id="payments.E001",
            )
        ]
    unknown = [
        Error(
            f"PAYMENTS has an unknown setting {name!r}.",
            hint=f"It may be one of: {', '.join(sorted(conf.SETTING_NAMES))}.",
            id="payments.E002",
        )
        for name in configured
        if name not in conf.SETTING_NAMES
    ]
    return unknown + [message for check in _SETTING_CHECKS for message in check()]


def check_providers() -> Checks:
    """Check the shape of PROVIDERS (E003), then each one's backend and options (E004), public data (E028) and own."""
    providers = conf.payments_setting("PROVIDERS")
    if not isinstance(providers, Mapping) or not providers:
        return [
            Error(
                'PAYMENTS["PROVIDERS"] is not a dict with at least one provider.',
                hint='Type: "PROVIDERS": {"system": {"BACKEND": "payments.providers.system.SystemProvider"}}',
                id="payments.E003",
            )
        ]
    return [message for alias, entry in providers.items() for message in _check_provider(alias, entry)]


def check_payable_resolver() -> Checks:
    """Check that PAYABLE_RESOLVER names a callable (E005)."""
    path = conf.payable_resolver_path()
    problem = None if path is None else _callable_problem(path)
    if problem is None:
        return []
    return [
        Error(
            f'PAYMENTS["PAYABLE_RESOLVER"] = {path!r} is not the dotted path of a function: {problem}.',
            hint='Type the path of your function: "PAYABLE_RESOLVER": "shop.payments.resolve_payable"',
            id="payments.E005",
        )
    ]


def check_payable_models() -> Checks:
    """Check that PAYABLE_MODELS lists models whose keys a collection can store (E024)."""
    labels: Any = conf.payments_setting("PAYABLE_MODELS", ())
    if labels is None:
        return []
    is_list = isinstance(labels, list | tuple | set | frozenset)
    listed = labels if is_list else ()
    problems = [] if is_list else [f"it is {labels!r}"]
    problems += [problem for label in listed if (problem := _model_problem(label))]
    if not problems:
        return []
    return [
        Error(
            f'PAYMENTS["PAYABLE_MODELS"] is not a list of models that can be paid for: {"; ".join(problems)}.',
            hint='Type the labels of the models of your orders: "PAYABLE_MODELS": ["shop.Order"]',
            id="payments.E024",
        )
    ]


def check_mark_as_paid_provider() -> Checks:
    """Check that MARK_AS_PAID_PROVIDER is a configured provider (E006, or W006 if only the default is missing)."""
    alias: Any = conf.mark_as_paid_provider()
    providers = conf.payments_setting("PROVIDERS")
    if not isinstance(providers, Mapping) or alias in tuple(providers):
        return []  # in the first case E003 comes first
    hint = (
        f'Add it: "PROVIDERS": {{"{alias}": {{"BACKEND": "payments.providers.system.SystemProvider"}}}}, '
        'or name another: "MARK_AS_PAID_PROVIDER": "<alias>"'
    )
    if conf.payments_setting("MARK_AS_PAID_PROVIDER") is None:
        text = f"There is no provider {alias!r}, so collections can't be marked as paid."
        return [Warning(text, hint=hint, id="payments.W006")]
    return [
        Error(
            f'PAYMENTS["MARK_AS_PAID_PROVIDER"] = {alias!r} is not a configured provider.',
            hint=hint,
            id="payments.E006",
        )
    ]


def check_session_lifetime() -> Checks:
    """Check that SESSION_LIFETIME is a positive timedelta that doesn't exceed the calendar (E007)."""
    lifetime: Any = conf.session_lifetime()
    if lifetime is None or (isinstance(lifetime, timedelta) and timedelta(0) < lifetime <= LONGEST_LIFETIME):
        return []
    return [
        Error(
            f'PAYMENTS["SESSION_LIFETIME"] = {lifetime!r} is not a positive timedelta of at most '
            f"{LONGEST_LIFETIME.days} days.",
            hint='Type: "SESSION_LIFETIME": timedelta(hours=24)',
            id="payments.E007",
        )
    ]


def check_return_url_origins() -> Checks:
    """Check that RETURN_URL_ORIGINS lists origins, each a scheme, a host and perhaps a port (E008)."""
    origins: Any = conf.payments_setting("RETURN_URL_ORIGINS", ())
    listed = list(origins) if isinstance(origins, list | tuple | set | frozenset) else [origins]
    wrong = [origin for origin in listed if not _is_origin(origin)]
    if not wrong and not isinstance(origins, str):
        return []
    return [
        Error(
            f'PAYMENTS["RETURN_URL_ORIGINS"] has {wrong or origins!r}, which is no list of origins.',
            hint='Type: "RETURN_URL_ORIGINS": ["https://shop.example", "http://localhost:8000"], each http or https, '
            "one host in ASCII and perhaps a port, with nothing behind it. There are no wildcards: list every host. "
            "An app's own scheme (myapp://) won't do, for any app may claim it: have yours claim an https address.",
            id="payments.E008",
        )
    ]


def check_authentication_classes() -> Checks:
    """Check that the authentication settings list importable classes (E009)."""
    messages: Checks = []
    for name in ("STOREFRONT_AUTHENTICATION_CLASSES", "STAFF_AUTHENTICATION_CLASSES"):
        paths = conf.payments_setting(name)
        if paths is None or (paths and _are_classes(paths, "authenticate")):
            continue
        messages.append(
            Error(
                f'PAYMENTS["{name}"] = {paths!r} is not a list of dotted paths of authentication classes.',
                hint=f'Type: "{name}": ["rest_framework.authentication.TokenAuthentication"]',
                id="payments.E009",
            )
        )
    return messages


def check_throttles() -> Checks:
    """Check that THROTTLES has known names and rates (E012), and STOREFRONT_THROTTLE_CLASSES classes (E013)."""
    messages: Checks = []
    throttles: Any = conf.payments_setting("THROTTLES", {})
    if not isinstance(throttles, Mapping):
        messages.append(_throttles_error(f"it is {throttles!r}, and no dict"))
    for name, text in throttles.items() if isinstance(throttles, Mapping) else ():
        if name not in conf.DEFAULT_THROTTLES:
            known = ", ".join(conf.DEFAULT_THROTTLES)
            messages.append(_throttles_error(f"it has an unknown {name!r}; there are {known}"))
        elif text is not None and (problem := _rate_problem(text)):
            messages.append(_throttles_error(f"{name}: {problem}"))
    paths = conf.payments_setting("STOREFRONT_THROTTLE_CLASSES", ())
    if not _are_classes(paths, "allow_request"):
        messages.append(
            Error(
                f'PAYMENTS["STOREFRONT_THROTTLE_CLASSES"] = {paths!r} is not a list of dotted paths of classes.',
                hint='Type: "STOREFRONT_THROTTLE_CLASSES": ["payments.api.throttling.ClientThrottle"]',
                id="payments.E013",
            )
        )
    return messages


def check_proxies() -> Checks:
    """Check that PROXIES is a number of proxies, or None (E014)."""
    count: Any = conf.proxy_count()
    if count is None or (isinstance(count, int) and not isinstance(count, bool) and count >= 0):
        return []
    return [
        Error(
            f'PAYMENTS["PROXIES"] = {count!r} is not a number of proxies.',
            hint='Type how many of your own proxies a request comes through: "PROXIES": 1',
            id="payments.E014",
        )
    ]


def check_throttle_cache() -> Checks:
    """Check that the cache in which clients are counted increments atomically (E022)."""
    alias: Any = conf.throttle_cache()
    backend = _cache_class(alias)
    if not isinstance(backend, type):
        problem = f"is no cache: {backend}"
    elif not _counts_clients() or backend.incr is not BaseCache.incr:
        return []
    elif issubclass(backend, DummyCache) and settings.DEBUG:
        return []  # a shop under development may have no cache, and isn't a target of card testing
    else:
        problem = f"is a {backend.__name__}, which counts by reading and then writing: requests at once slip through"
    return [
        Error(
            f'The cache in which clients are counted, CACHES["{alias}"], {problem}.',
            hint='Name one that counts in one step, such as Redis or Memcached: CACHES = {..., "payments": {"BACKEND": '
            '"django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:6379"}} and '
            'PAYMENTS = {..., "THROTTLE_CACHE": "payments"}. Without either, type for "BACKEND" '
            '"django.core.cache.backends.locmem.LocMemCache": each process then counts for itself.',
            id="payments.E022",
        )
    ]


def check_deployment(app_configs: AppConfigs = None, **_options: Any) -> Checks:
    """Warn of PROXIES (W017) and caches (W018) that make client counts wrong, and of pretend money (W022)."""
    if any(message.is_serious() for message in check_settings()):
        return []  # errors come first
    counting = [*_proxies_warning(), *_local_cache_warning()] if _counts_clients() else []
    return [*counting, *_pretend_warnings()]


def _proxies_warning() -> Checks:
    if conf.proxy_count() is not None:
        return []
    return [
        Warning(
            'PAYMENTS["PROXIES"] is not set, so X-Forwarded-For is not believed: all payers behind one proxy share the '
            'rates of one client, "REQUESTS_PER_CLIENT", "DECLINES_PER_CLIENT" and "METHOD_SETUPS_PER_CLIENT".',
            hint="Type how many of your own proxies a request comes through, such as nginx or a load balancer: "
            '"PROXIES": 1; or "PROXIES": 0 where there is none.',
            id="payments.W017",
        )
    ]


def _pretend_warnings() -> Checks:
    """Warn of providers that move no real money and are allowed nevertheless."""
    pretending = [alias for alias, each in configured_providers().items() if not each.moves_real_money]
    if not pretending:
        return []
    return [
        Warning(
            f"Whoever pays with {', '.join(pretending)} really pays nothing, and that is allowed.",
            hint='Take "ALLOW_PRETEND_MONEY" out, and DEBUG, where a shop is open; on a staging site, type: '
            'SILENCED_SYSTEM_CHECKS = ["payments.W022"]',
            id="payments.W022",
        )
    ]


def _local_cache_warning() -> Checks:
    alias = conf.throttle_cache()
    backend = _cache_class(alias)
    if not (isinstance(backend, type) and issubclass(backend, LocMemCache)):
        return []
    return [
        Warning(
            f'CACHES["{alias}"], in which clients are counted, is each process\'s own and holds 300 keys by default: '
            "each process lets a client have the whole rate, and many clients push each other's counts out.",
            hint='Type: CACHES = {..., "payments": {"BACKEND": "django.core.cache.backends.redis.RedisCache", '
            '"LOCATION": "redis://127.0.0.1:6379"}} and PAYMENTS = {..., "THROTTLE_CACHE": "payments"}; or, with one '
            'process, a LocMemCache for it with "OPTIONS": {"MAX_ENTRIES": 100_000} and '
            'SILENCED_SYSTEM_CHECKS = ["payments.W018"]',
            id="payments.W018",
        )
    ]


def check_metrics_token() -> Checks:
    """Check that METRICS_TOKEN is too long to be guessed, and can be sent in a header (E015)."""
    token: Any = conf.metrics_token()
    if token is None or (isinstance(token, str) and _TOKEN.fullmatch(token)):
        return []
    return [
        Error(
            f'PAYMENTS["METRICS_TOKEN"] is not a text of at least {MIN_TOKEN} ASCII characters without a space.',
            hint='Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"',
            id="payments.E015",
        )
    ]


def check_flags() -> Checks:
    """Check that the boolean settings are either True or False (E026)."""
    return [
        Error(
            f'PAYMENTS["{name}"] = {value!r} is neither True nor False.',
            hint=f'Type: "{name}": {default}, or leave it out.',
            id="payments.E026",
        )
        for name, default in FLAGS.items()
        if not isinstance(value := conf.payments_setting(name, default), bool)
    ]


def check_databases(app_configs: AppConfigs = None, **_options: Any) -> Checks:
    """Warn of ATOMIC_REQUESTS (W010), and of SQLite without immediate transactions (W011)."""
    messages: Checks = []
    for alias, database in settings.DATABASES.items():
        if database.get("ATOMIC_REQUESTS"):
            messages.append(
                Warning(
                    f'DATABASES["{alias}"]["ATOMIC_REQUESTS"] is on, and payment providers can\'t be called inside a '
                    "transaction.",
                    hint="The API of payments is exempt. Mark your own views that call payments.services with "
                    "@transaction.non_atomic_requests.",
                    id="payments.W010",
                )
            )
        if _may_lock_up(database):
            messages.append(
                Warning(
                    f'DATABASES["{alias}"] is SQLite with deferred transactions, which fail at once when two meet.',
                    hint='Type: "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20}',
                    id="payments.W011",
                )
            )
    return messages


def check_routers(
    app_configs: AppConfigs = None, *, databases: Sequence[str] | None = None, **_options: Any
) -> Checks:
    """Check that routers write all rows to one database (E018), and the database if it may be asked (E019, W027)."""
    models: dict[str, str] = {}
    for model in apps.get_app_config("payments").get_models():
        models.setdefault(router.db_for_write(model), model._meta.label)
    if len(models) > 1:
        places = ", ".join(f"{label} to {alias!r}" for alias, label in models.items())
        return [
            Error(
                f"DATABASE_ROUTERS has models of payments written to several databases ({places}), and what belongs "
                "together is written in one transaction.",
                hint='Type into db_for_write of your router: if model._meta.app_label == "payments": return "default". '
                "Reads may go anywhere.",
                id="payments.E018",
            )
        ]
    (alias,) = models
    if alias not in (databases or ()):
        return []
    if connections[alias].features.supports_transactions:
        return _prepared_warning(alias)
    return [
        Error(
            f'DATABASES["{alias}"] has no transactions, so a call to a provider could be forgotten, or made twice.',
            hint='On MariaDB or MySQL, type: "OPTIONS": {"init_command": "SET default_storage_engine=InnoDB"}, and '
            "create the tables anew.",
            id="payments.E019",
        )
    ]


def _prepared_warning(alias: str) -> Checks:
    """Warn of prepared statements behind a pooler, which gives a client another process id than the server's own."""
    connection = connections[alias]
    if (
        connection.vendor != "postgresql"
        or connection.settings_dict["OPTIONS"].get("prepare_threshold") is None
    ):
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        if cursor.fetchone()[0] == cursor.connection.info.backend_pid:
            return []
    return [
        Warning(
            f'DATABASES["{alias}"] prepares statements behind a pooler such as PgBouncer. If it lends a connection for '
            "one transaction only, the next one may have nothing prepared, and calls to providers fail half-way.",
            hint='Type: "prepare_threshold": None. If it lends connections for whole sessions, type: '
            'SILENCED_SYSTEM_CHECKS = ["payments.W027"]',
            id="payments.W027",
        )
    ]


def check_urls(app_configs: AppConfigs = None, **_options: Any) -> Checks:
    """Warn if the URLconf doesn't include `payments.urls` (W016); refuse a place that passes arguments on (E023)."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    places = places_of("health")
    if not places:
        hint = (
            'Type into your urlpatterns: path("payments/", include("payments.urls")); or, where only Python code and '
            'the admin are used, SILENCED_SYSTEM_CHECKS = ["payments.W016"]'
        )
        text = "payments.urls is included nowhere, so there is no API, and no webhook arrives."
        return [Warning(text, hint=hint, id="payments.W016")]
    return [
        Error(
            f"payments.urls is included below {place.route!r}, which hands arguments to every view; those of payments "
            "take none, so each request would fail.",
            hint='Type a path without a part such as <slug:tenant>: path("payments/", include("payments.urls")). The '
            "PAYABLE_RESOLVER can tell from the request, or from the reference, which tenant is meant.",
            id="payments.E023",
        )
        for place in places
        if place.adds_arguments
    ]


def check_distributions(app_configs: AppConfigs = None, **_options: Any) -> Checks:
    """Check that no other distribution is installed over `django_fsm` (E020) or `payments` (E021)."""
    installed = metadata.packages_distributions()
    messages: Checks = []
    if "django-fsm" in installed.get("django_fsm", []):
        messages.append(
            Error(
                "django-fsm is installed, and overwrites files of django-fsm-2.",
                hint="Type: pip uninstall django-fsm django-fsm-2 && pip install django-fsm-2",
                id="payments.E020",
            )
        )
    if "django-payments" in installed.get("payments", []):
        messages.append(
            Error(DJANGO_PAYMENTS, hint=HOW_TO_LEAVE_DJANGO_PAYMENTS, id="payments.E021"),
        )
    return messages


def register_checks() -> None:
    """Register the checks with Django."""
    register(check_settings, "payments")
    register(check_distributions, "payments")
    register(check_databases, "payments", "database")
    register(check_routers, "payments", "database")
    register(check_urls, "payments", "urls")
    register(check_deployment, "payments", deploy=True)


_SETTING_CHECKS: Final[tuple[Callable[[], Checks], ...]] = (
    check_providers,
    check_payable_resolver,
    check_payable_models,
    check_mark_as_paid_provider,
    check_session_lifetime,
    check_return_url_origins,
    check_authentication_classes,
    check_throttles,
    check_proxies,
    check_throttle_cache,
    check_metrics_token,
    check_flags,
)


def _check_provider(alias: Any, entry: Any) -> Checks:
    if not (isinstance(alias, str) and 0 < len(alias) <= MAX_ALIAS and _fits_into_address(alias)):
        return [
            _provider_error(
                f"The provider alias {alias!r} is not a text of 1 to {MAX_ALIAS} printable characters without a slash: "
                "it is a part of addresses."
            )
        ]
    problem = _entry_problem(entry)
    if problem:
        return [_provider_error(f'PAYMENTS["PROVIDERS"]["{alias}"]{problem}.')]
    try:
        provider = get_provider(alias)
    except ImproperlyConfigured as error:
        return [_provider_error(str(error), extra=_missing_extra(entry["BACKEND"], error.__cause__))]
    return [*_money_errors(provider), *_check_public_data(provider), *provider.check()]


def _entry_problem(entry: Any) -> str | None:
    """Return what is wrong with the shape of a provider's entry, or None."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("BACKEND"), str):
        return ' has no "BACKEND"'
    surplus = sorted(str(key) for key in set(entry) - {"BACKEND", "OPTIONS", "STOREFRONT"})
    if surplus:
        return f" has unknown keys {', '.join(surplus)}"
    if not isinstance(entry.get("OPTIONS", {}), Mapping):
        return '["OPTIONS"] is no dict'
    if not isinstance(entry.get("STOREFRONT"), bool | None):
        return '["STOREFRONT"] is neither True nor False'
    return None


def _money_errors(provider: BaseProvider[Any]) -> Checks:
    if not is_pretending(provider):
        return []
    return [
        Error(
            f'PAYMENTS["PROVIDERS"]["{provider.alias}"] moves no real money, and DEBUG is off.',
            hint="Use live keys, or take the provider out. Where pretend money is meant, as on a staging site, type: "
            '"ALLOW_PRETEND_MONEY": True',
            id="payments.E025",
        )
    ]


def _check_public_data(provider: BaseProvider[Any]) -> Checks:
    wrong = undeclarable(provider.public_data_keys)
    if not wrong:
        return []
    return [
        Error(
            f"{type(provider).__qualname__}.public_data_keys has {', '.join(wrong)}, which declares nothing.",
            hint='Type names: public_data_keys = frozenset({"client_token", "next.url", "methods[].id"})',
            id="payments.E028",
        )
    ]


def _missing_extra(backend: str, cause: BaseException | None) -> str:
    """Return the extra that installs the missing library of one of our own providers, or an empty text."""
    if not isinstance(cause, ModuleNotFoundError) or (cause.name or "").startswith("payments"):
        return ""
    ours = backend.startswith("payments.providers.")
    return backend.split(".")[2] if ours else ""  # a provider's package has the name of its extra


def _provider_error(text: str, *, extra: str = "") -> Error:
    hint = 'Type: "<alias>": {"BACKEND": "<dotted path of a BaseProvider>", "OPTIONS": {...}}'
    if extra:
        hint = f'Type: pip install "django-payment-sessions[{extra}]"'
    return Error(text, hint=hint, id="payments.E004")


def _throttles_error(problem: str) -> Error:
    hint = 'Type: "THROTTLES": {"AUTHORIZATIONS_PER_COLLECTION": "15/hour"}; None lifts a limit.'
    return Error(f'PAYMENTS["THROTTLES"] is wrong: {problem}.', hint=hint, id="payments.E012")


def _rate_problem(text: Any) -> str | None:
    try:
        conf.Rate.parse(text)
    except ImproperlyConfigured as error:
        return str(error)
    return None


def _fits_into_address(alias: str) -> bool:
    """Return whether an alias can be one segment of a path; browsers and proxies resolve “.” and “..”."""
    return alias.isprintable() and "/" not in alias and alias.strip(" ") not in ("", ".", "..")


def _are_classes(paths: Any, method: str) -> bool:
    """Return whether these are dotted paths of classes with a method of this name."""
    if not isinstance(paths, list | tuple):
        return False
    named = [None if _callable_problem(path) else import_string(path) for path in paths]
    return all(isinstance(each, type) and hasattr(each, method) for each in named)


def _counts_clients() -> bool:
    """Return whether any rate is counted per client; invalid rates are reported by another check."""
    throttles: Any = conf.payments_setting("THROTTLES", {})
    rates = {**conf.DEFAULT_THROTTLES, **(throttles if isinstance(throttles, Mapping) else {})}
    classes = conf.payments_setting("STOREFRONT_THROTTLE_CLASSES", (CLIENT_THROTTLE,))
    is_ours = isinstance(classes, list | tuple) and CLIENT_THROTTLE in classes
    counts_requests = rates["REQUESTS_PER_CLIENT"] is not None and is_ours
    others = (rates["DECLINES_PER_CLIENT"], rates["METHOD_SETUPS_PER_CLIENT"])
    return counts_requests or any(rate is not None for rate in others)


def _cache_class(alias: Any) -> type[BaseCache] | str:
    """Return the class of a cache, without creating an instance; or a text that says what is wrong."""
    try:
        backend: type[BaseCache] = import_string(settings.CACHES[alias]["BACKEND"])
    except (LookupError, TypeError, ImportError) as error:
        return repr(error)
    return backend


def _model_problem(label: Any) -> str | None:
    if not isinstance(label, str):
        return f"{label!r} is no label"
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return f"there is no model {label!r}"
    key: Any = model._meta.pk
    while key.remote_field is not None:
        key = key.target_field
    is_text = not isinstance(key, CompositePrimaryKey | BinaryField)
    return None if is_text else f"the key of {label!r} is composite or binary"


def _callable_problem(path: Any) -> str | None:
    if not isinstance(path, str):
        return f"it is a {type(path).__name__}"
    try:
        return None if callable(import_string(path)) else "what it names can't be called"
    except Exception as error:  # noqa: BLE001 - what is imported may raise anything
        return str(error) or type(error).__name__


def _is_origin(origin: Any) -> bool:
    if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
        return False
    try:
        parts = urlsplit(origin)
        return parts.port != 0 and ".." not in parts.netloc
    except ValueError:  # a port beyond 65535, or an invalid IPv6 address in brackets
        return False


def _may_lock_up(database: Mapping[str, Any]) -> bool:
    if not str(database.get("ENGINE", "")).endswith("sqlite3"):
        return False
    return str((database.get("OPTIONS") or {}).get("transaction_mode", "")).upper() not in (
        "IMMEDIATE",
        "EXCLUSIVE",
    )
