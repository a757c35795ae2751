"""Builds a provider from its entry in `PAYMENTS["PROVIDERS"]`, or says which part of that can't work, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from inspect import isabstract
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from payments.conf import ProviderConfig
from payments.providers.base import BaseProvider
from payments.providers.pretend import published_options

_ANY_NUMBER: Final = (int, float)


def build(config: ProviderConfig) -> BaseProvider[Any]:
    """Return a provider; raise ImproperlyConfigured for a backend that is none and for options that it doesn't take."""
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
        raise _misconfigured(config, "BACKEND", f"{config.backend} is no BaseProvider subclass")
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
    published = [] if config.is_debug else published_options(options)
    if published:
        raise _misconfigured(
            config,
            "OPTIONS",
            f"{', '.join(published)}: anybody can read that in the documentation, and DEBUG is off; "
            "type a secret of your own",
        )
    return options


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
