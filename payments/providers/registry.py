"""Providers by their aliases in `PAYMENTS["PROVIDERS"]`, each built once per process and setting."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields, replace
from inspect import isabstract
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from payments.conf import ProviderConfig, allows_pretend_money, provider_aliases, provider_config
from payments.exceptions import InputError
from payments.providers.base import BaseProvider
from payments.providers.public_data import learn_secrets

PUBLISHED: Final = frozenset({"sk_sim_test", "whsec_simulator"})
"""The secrets that the simulator is started with unless it is told otherwise."""

_BLANK: Final = re.compile(r"[A-Za-z_]*\.\.\.")
"""What stands in examples in place of a secret."""

_ANY_NUMBER: Final = (int, float)

_built: dict[str, tuple[ProviderConfig, BaseProvider[Any]]] = {}
"""The provider of each alias, and what it was built from. A forked process builds its own, with its own connections."""

os.register_at_fork(after_in_child=_built.clear)


def get_provider(alias: str) -> BaseProvider[Any]:
    """Return the provider with this alias, which lives until its setting is another.

    Raises NotFoundError for an alias that isn't configured and ImproperlyConfigured for options it doesn't take.
    """
    config = provider_config(alias)
    known, provider = _built.get(alias, (None, None))
    if provider is None or known is None or known != config or known.setting is not config.setting:
        provider = _build(config)
        # A copy, so that an option that is changed in place is noticed.
        _built[alias] = (replace(config, options=dict(config.options)), provider)
        learn_secrets(each.options for _config, each in _built.values())
    return provider


def configured_providers() -> dict[str, BaseProvider[Any]]:
    """Build every configured provider, in the order of the setting."""
    return {alias: get_provider(alias) for alias in provider_aliases()}


def is_refused(provider: BaseProvider[Any]) -> bool:
    """Return whether nothing a provider tells counts: its money is pretended, and no setting or option allows it."""
    return is_pretending(provider) and not provider.is_meant_to_pretend


def check_money(provider: BaseProvider[Any]) -> None:
    """Raise InputError (`pretend_money`) if a provider moves no real money and no setting allows that."""
    if is_refused(provider):
        raise InputError(
            _("The payment provider “%(alias)s” moves no real money, so it can't be used here."),
            code="pretend_money",
            field="provider_id",
            params={"alias": provider.alias},
        )


def is_pretending(provider: BaseProvider[Any]) -> bool:
    """Return whether a provider moves pretend money where a shop is open, and no setting of the shop allows it."""
    return not provider.moves_real_money and not allows_pretend_money()


def _build(config: ProviderConfig) -> BaseProvider[Any]:
    """Return a provider; raise ImproperlyConfigured for what isn't a backend, and for options that it doesn't take."""
    provider_class = _provider_class(config)
    options = _options(config, provider_class.options_class)
    try:
        return provider_class(alias=config.alias, options=options)
    except Exception as error:
        raise _misconfigured(config, "OPTIONS", _reason(error)) from error


def _provider_class(config: ProviderConfig) -> type[BaseProvider[Any]]:
    try:
        provider_class = import_string(config.backend)
    except Exception as error:
        raise _misconfigured(
            config, "BACKEND", f"{config.backend} can't be imported: {_reason(error)}"
        ) from error
    if not (isinstance(provider_class, type) and issubclass(provider_class, BaseProvider)):
        raise _misconfigured(config, "BACKEND", f"{config.backend} is not a BaseProvider subclass")
    if isabstract(provider_class):
        missing = ", ".join(sorted(provider_class.__abstractmethods__))
        raise _misconfigured(config, "BACKEND", f"{config.backend} doesn't define {missing}")
    return provider_class


def _options(config: ProviderConfig, options_class: type[Any]) -> Any:
    known = {option.name for option in fields(options_class)}
    unknown = sorted(str(name) for name in set(config.options) - known)
    if unknown:
        raise ImproperlyConfigured(
            f'PAYMENTS["PROVIDERS"]["{config.alias}"]["OPTIONS"] has unknown options {", ".join(unknown)}; '
            f"{config.backend} takes {', '.join(sorted(known)) or 'none'}"
        )
    for problem in _misfits(config, options_class):
        raise _misconfigured(config, "OPTIONS", problem)
    try:
        options = options_class(**config.options)
    except Exception as error:
        raise _misconfigured(config, "OPTIONS", _reason(error)) from error
    published = [] if config.is_debug else _published_options(options)
    if published:
        raise _misconfigured(
            config,
            "OPTIONS",
            f"{', '.join(published)}: anybody can read that in the documentation, and DEBUG is off; "
            "type a secret of your own",
        )
    return options


def _published_options(options: Any) -> list[str]:
    """Return the names of the options that everybody can read in the documentation, or in this package.

    A secret that is printed there proves nothing, so outside of DEBUG no setting allows it.
    """
    return [
        each.name for each in fields(options) if any(map(_is_published, _texts(getattr(options, each.name))))
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (each for each in value if isinstance(each, str))


def _is_published(text: str) -> bool:
    return text in PUBLISHED or _BLANK.fullmatch(text) is not None


def _misfits(config: ProviderConfig, options_class: type[Any]) -> Iterator[str]:
    """Say of options what type they have to be, where they aren't; their values may be secret."""
    try:
        hints = get_type_hints(options_class)
    except Exception:  # noqa: BLE001 - a plug-in may name what is only there for type checkers
        return
    for name, value in config.options.items():
        if not _fits(value, hints[name]):
            expected = str(hints[name]).removeprefix("<class '").removesuffix("'>")
            yield f"{name} must be of the type {expected.replace('typing.', '')}, and is a {type(value).__name__}"


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of a type; one that can't be told is left to the options themselves."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in arguments)
    if origin is Literal:
        return isinstance(value, tuple({type(each) for each in arguments}))
    if isinstance(origin, type) and issubclass(origin, Collection):
        return _fits_collection(value, origin, arguments)
    if hint is float:
        return isinstance(value, _ANY_NUMBER) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint is Any or not isinstance(hint, type) or isinstance(value, hint)


def _fits_collection(value: Any, kind: type[Collection[Any]], arguments: Sequence[Any]) -> bool:
    if isinstance(value, str):
        return True  # which the options themselves refuse, in better words
    return isinstance(value, kind) and (
        len(arguments) != 1 or all(_fits(each, arguments[0]) for each in value)
    )


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _misconfigured(config: ProviderConfig, part: str, reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f'PAYMENTS["PROVIDERS"]["{config.alias}"]["{part}"]: {reason}')
