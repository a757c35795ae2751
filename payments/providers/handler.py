"""Builds providers from `PAYMENTS["PROVIDERS"]`, once per process and setting, and makes the calls to them.

Every call to a provider goes through `call_provider`, which makes sure that no transaction is open and that whatever
happens, the answer is one of the five outcomes. Nothing here knows a model.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from payments.conf import ProviderConfig, provider_aliases, provider_config
from payments.exceptions import DeclinedError, OpenTransactionError, ProviderUnavailableError
from payments.providers.answers import UnusableAnswerError, require_usable
from payments.providers.base import BaseProvider
from payments.providers.facts import Failure, SessionFact
from payments.providers.results import ProviderResult
from payments.providers.tracing import call_span
from payments.redaction import redact, redact_text
from payments.states import Outcome
from payments.wording import kept_words

logger = logging.getLogger("payments.providers")

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT", bound=ProviderResult)


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
    return provider


def configured_providers() -> dict[str, BaseProvider[Any]]:
    """Build every configured provider, in the order of the setting."""
    return {alias: get_provider(alias) for alias in provider_aliases()}


def call_provider(
    verb: Callable[[RequestT], ResultT], request: RequestT, *, result_class: type[ResultT]
) -> ResultT:
    """Call a provider's bound method and return what came of it, whatever happened.

    Raises OpenTransactionError when a database transaction is open: a slow provider would hold its locks, and a
    rollback would forget a call that was made.
    """
    check_no_transaction()
    with call_span(provider_id=_alias(verb), verb=getattr(verb, "__name__", "call"), request=request) as span:
        result = _answer_to(verb, request, result_class)
        span.end(str(result.outcome))
        return result


def _answer_to(
    verb: Callable[[RequestT], ResultT], request: RequestT, result_class: type[ResultT]
) -> ResultT:
    try:
        result = _publishable(verb, _without_card_data(_checked(verb(request), result_class)))
        require_usable(result)
        return result
    except DeclinedError as error:
        return result_class(outcome=Outcome.DECLINED, failure=_failure(error.code, kept_words(error)))
    except ProviderUnavailableError as error:
        return result_class(outcome=Outcome.NOT_SENT, failure=_failure(error.code, kept_words(error)))
    except (KeyboardInterrupt, SystemExit):
        raise  # The process is to end: the reconciler finds out what became of the operation.
    except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything, and then nobody knows what it did
        return _unknown(verb, result_class, error)


def publishable_fact(provider: BaseProvider[Any], fact: SessionFact) -> SessionFact:
    """Return a fact without the public data that its provider hasn't declared, and without card data in its words."""
    return replace(
        fact,
        data=None if fact.data is None else _declared(provider, fact.data),
        failure=_redacted(fact.failure),
        movements=tuple(replace(row, failure=_redacted(row.failure)) for row in fact.movements),
    )


def check_no_transaction() -> None:
    """Raise OpenTransactionError if this thread has a transaction open that no test case opened."""
    for connection in connections.all(initialized_only=True):
        if _is_in_transaction(connection):
            raise OpenTransactionError(
                _(
                    "A payment provider can't be called inside a transaction. Call this after the atomic() block, "
                    "for example with transaction.on_commit(), and mark a view under ATOMIC_REQUESTS with "
                    "@transaction.non_atomic_requests."
                )
            )


def _is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Return whether a commit is still to come, be it of an atomic() block or of a connection without autocommit."""
    if connection.atomic_blocks:
        return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
    return connection.connection is not None and not connection.autocommit


def _build(config: ProviderConfig) -> BaseProvider[Any]:
    provider_class = _provider_class(config)
    return provider_class(alias=config.alias, options=_build_options(config, provider_class.options_class))


def _provider_class(config: ProviderConfig) -> type[BaseProvider[Any]]:
    try:
        provider_class = import_string(config.backend)
    except ImportError as error:
        raise ImproperlyConfigured(
            f'PAYMENTS["PROVIDERS"]["{config.alias}"]["BACKEND"]: {config.backend} can\'t be imported: {error}'
        ) from error
    if not (isinstance(provider_class, type) and issubclass(provider_class, BaseProvider)):
        raise ImproperlyConfigured(
            f'PAYMENTS["PROVIDERS"]["{config.alias}"]["BACKEND"]: {config.backend} is no BaseProvider subclass'
        )
    return provider_class


def _build_options(config: ProviderConfig, options_class: type[Any]) -> Any:
    known = {option.name for option in fields(options_class)}
    unknown = sorted(set(config.options) - known)
    if unknown:
        raise ImproperlyConfigured(
            f'PAYMENTS["PROVIDERS"]["{config.alias}"]["OPTIONS"] has unknown options {", ".join(unknown)}; '
            f"{config.backend} takes {', '.join(sorted(known)) or 'none'}"
        )
    try:
        return options_class(**config.options)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f'PAYMENTS["PROVIDERS"]["{config.alias}"]["OPTIONS"]: {error}') from error


def _failure(code: str, message: str) -> Failure | None:
    return _redacted(Failure(code=code, message=message))


def _unknown(verb: Callable[..., Any], result_class: type[ResultT], error: BaseException) -> ResultT:
    # The exception's text may quote what was sent, so only its type is logged and kept.
    reason = type(error).__qualname__
    if isinstance(error, UnusableAnswerError):
        reason = f"{reason}: {error.where}"
    logger.warning("Provider call %s ended in %s; its outcome is unknown.", _name(verb), reason)
    failure = Failure(code="outcome_unknown", detail=reason)
    return result_class(outcome=Outcome.UNKNOWN, failure=failure)


def _checked(result: Any, result_class: type[ResultT]) -> ResultT:
    if not isinstance(result, result_class):
        raise TypeError(f"it returned a {type(result).__name__}")
    if result.outcome not in Outcome.values:
        raise ValueError("it returned no known outcome")
    return result


def _without_card_data(result: ResultT) -> ResultT:
    """Take card data out of what operators and payers will read; a provider may quote what it was sent."""
    cleaned = replace(result, failure=_redacted(result.failure), exchange=redact(result.exchange))
    return result if cleaned == result else cleaned


def _redacted(failure: Failure | None) -> Failure | None:
    if failure is None:
        return None
    texts = {name: redact_text(kept_words(getattr(failure, name))) for name in ("code", "message", "detail")}
    return replace(failure, **texts)


def _publishable(verb: Callable[..., Any], result: ResultT) -> ResultT:
    """Drop whatever the provider would publish without having declared it, also in a fact that it reports."""
    provider = getattr(verb, "__self__", None)
    if not isinstance(provider, BaseProvider):
        return result
    changes: dict[str, Any] = {}
    if getattr(result, "data", None) is not None:
        changes["data"] = _declared(provider, result.data)  # type: ignore[attr-defined]
    if getattr(result, "fact", None) is not None:
        changes["fact"] = publishable_fact(provider, result.fact)  # type: ignore[attr-defined]
    return replace(result, **changes) if changes else result


def _declared(provider: BaseProvider[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    undeclared = sorted(set(data) - provider.public_data_keys)
    if undeclared:
        logger.warning(
            "Provider %s returned undeclared public keys: %s", provider.alias, ", ".join(undeclared)
        )
    return {key: value for key, value in data.items() if key in provider.public_data_keys}


def _alias(verb: Callable[..., Any]) -> str:
    return str(getattr(getattr(verb, "__self__", None), "alias", ""))


def _name(verb: Callable[..., Any]) -> str:
    return str(getattr(verb, "__qualname__", verb))
