"""The `PAYMENTS` setting, read each time it is used, so that `override_settings` takes effect at once.

This module only reads settings; `payments.checks` validates them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core.cache import DEFAULT_CACHE_ALIAS
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from payments.exceptions import NotFoundError

SETTING_NAMES: Final = frozenset(
    {
        "PROVIDERS",
        "PAYABLE_RESOLVER",
        "PAYABLE_MODELS",
        "MARK_AS_PAID_PROVIDER",
        "SESSION_LIFETIME",
        "RETURN_URL_ORIGINS",
        "STOREFRONT_AUTHENTICATION_CLASSES",
        "STAFF_AUTHENTICATION_CLASSES",
        "STOREFRONT_THROTTLE_CLASSES",
        "THROTTLES",
        "THROTTLE_CACHE",
        "PROXIES",
        "METRICS_TOKEN",
        "PAYERS_MAY_RELEASE",
        "COMPILE_STATEMENTS",
        "ALLOW_PRETEND_MONEY",
    }
)

DEFAULT_THROTTLES: Final[Mapping[str, str | None]] = {
    "SESSIONS_PER_COLLECTION": "30/hour",
    "AUTHORIZATIONS_PER_COLLECTION": "15/hour",
    "UPDATES_PER_COLLECTION": "30/hour",
    "REQUESTS_PER_CLIENT": "120/minute",
    "DECLINES_PER_CLIENT": "10/hour",
    "METHOD_SETUPS_PER_CLIENT": "20/hour",
}
_COUNT: Final = re.compile(r"0*[1-9][0-9]{0,8}", re.ASCII)
_PERIODS: Final = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


@dataclass(frozen=True, kw_only=True)
class ProviderConfig:
    """A provider's class, and the options that it is built with.

    `storefront` is whether payers may choose the provider, or None if its class decides. `is_debug` is Django's DEBUG,
    which allows options that are otherwise refused. `setting` is the whole of `PAYMENTS["PROVIDERS"]`, which is another
    object once a project or a test has replaced it.
    """

    alias: str
    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    storefront: bool | None = None
    is_debug: bool = False
    setting: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How often something may be done within a period."""

    count: int
    period: timedelta

    @classmethod
    def parse(cls, text: Any) -> Rate:
        """Read "15/hour"; raise ImproperlyConfigured for anything else."""
        count, _slash, unit = text.partition("/") if isinstance(text, str) else ("", "", "")
        if not (_COUNT.fullmatch(count) and unit in _PERIODS):
            raise ImproperlyConfigured(
                f'{text!r} is no rate: write a number and one of {", ".join(_PERIODS)}, such as "15/hour", or None'
            )
        return cls(count=int(count), period=_PERIODS[unit])


def payments_setting(name: str, default: Any = None) -> Any:
    """Return one entry of the `PAYMENTS` setting, or the default if it is absent."""
    configured = getattr(settings, "PAYMENTS", {})
    if not isinstance(configured, Mapping):
        raise ImproperlyConfigured("PAYMENTS must be a dict: PAYMENTS = {'PROVIDERS': {...}}")
    return configured.get(name, default)


def provider_aliases() -> tuple[str, ...]:
    """Return the configured provider aliases in the order of the setting."""
    return tuple(payments_setting("PROVIDERS", {}))


def provider_config(alias: str) -> ProviderConfig:
    """Return the configuration of the provider with this alias; raise NotFoundError if there is none."""
    providers = payments_setting("PROVIDERS", {})
    entry = providers.get(alias)
    if entry is None:
        raise NotFoundError(
            _("There is no payment provider “%(alias)s”."),
            code="unknown_provider",
            field="provider_id",
            params={"alias": alias},
        )
    return ProviderConfig(
        alias=alias,
        backend=entry["BACKEND"],
        options=entry.get("OPTIONS", {}),
        storefront=entry.get("STOREFRONT"),
        is_debug=settings.DEBUG,
        setting=providers,
    )


def payable_resolver_path() -> str | None:
    """Return the dotted path of the function that resolves a storefront's reference to a payable."""
    path: str | None = payments_setting("PAYABLE_RESOLVER")
    return path


def payable_models() -> tuple[str, ...] | None:
    """Return the labels of the models whose rows operators may name; None requires each model's own permission."""
    labels = payments_setting("PAYABLE_MODELS")
    return None if labels is None else tuple(labels)


def mark_as_paid_provider() -> str:
    """Return the alias of the provider that stands for money received outside of any provider."""
    alias: str = payments_setting("MARK_AS_PAID_PROVIDER", "system")
    return alias


def payers_may_release() -> bool:
    """Return whether payers may release an authorization; otherwise only the shop may."""
    return payments_setting("PAYERS_MAY_RELEASE", False) is True


def session_lifetime() -> timedelta | None:
    """Return how long an unauthorized session stays open, or None if it never expires."""
    lifetime: timedelta | None = payments_setting("SESSION_LIFETIME")
    return lifetime


def return_url_origins() -> tuple[str, ...]:
    """Return the origins (scheme, host and port) to which a payer may be sent back."""
    return tuple(payments_setting("RETURN_URL_ORIGINS", ()))


def storefront_authentication_classes() -> tuple[str, ...] | None:
    """Return the dotted paths of the classes that recognize a customer, or None for the app's own."""
    return _dotted_paths("STOREFRONT_AUTHENTICATION_CLASSES")


def staff_authentication_classes() -> tuple[str, ...] | None:
    """Return the dotted paths of the classes that recognize an operator, or None for the app's own."""
    return _dotted_paths("STAFF_AUTHENTICATION_CLASSES")


def storefront_throttle_classes() -> tuple[str, ...]:
    """Return the dotted paths of the classes that throttle clients of the storefront."""
    paths = _dotted_paths("STOREFRONT_THROTTLE_CLASSES")
    return ("payments.api.throttling.ClientThrottle",) if paths is None else paths


def throttle_rate(name: str) -> Rate | None:
    """Return the rate of this name, or None if there is no limit."""
    configured = payments_setting("THROTTLES", {})
    text = configured.get(name, DEFAULT_THROTTLES[name])
    return None if text is None else Rate.parse(text)


def throttle_cache() -> str:
    """Return the alias of the cache in which clients are counted."""
    alias: str = payments_setting("THROTTLE_CACHE", DEFAULT_CACHE_ALIAS)
    return alias


def proxy_count() -> int | None:
    """Return how many of the project's own proxies a request comes through, or None if the setting is absent."""
    count: int | None = payments_setting("PROXIES")
    return count


def metrics_token() -> str | None:
    """Return the token with which a monitoring system may read the figures, or None."""
    token: str | None = payments_setting("METRICS_TOKEN")
    return token


def allows_pretend_money() -> bool:
    """Return whether providers that move no real money may be used: under DEBUG, or if a setting allows it."""
    return settings.DEBUG or payments_setting("ALLOW_PRETEND_MONEY") is True


def compiles_statements() -> bool:
    """Return whether the ledger compiles its statements once, instead of having the ORM build them each time."""
    return bool(payments_setting("COMPILE_STATEMENTS", True))


def _dotted_paths(name: str) -> tuple[str, ...] | None:
    paths = payments_setting(name)
    if paths is None:
        return None
    if isinstance(paths, str) or not all(isinstance(path, str) for path in paths):
        raise ImproperlyConfigured(
            f'PAYMENTS["{name}"] must list dotted paths: '
            f'"{name}": ["rest_framework.authentication.SessionAuthentication"]'
        )
    return tuple(paths)
