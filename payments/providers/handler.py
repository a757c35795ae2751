"""Keeps the providers of `PAYMENTS["PROVIDERS"]`, built once per process and setting, and makes the calls to them.

Every call to a provider goes through `call_provider`, which makes sure that no transaction is open and that whatever
happens, the answer is one of the five outcomes. Nothing here knows a model.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from payments.conf import ProviderConfig, provider_aliases, provider_config
from payments.exceptions import DeclinedError, OpenTransactionError, ProviderUnavailableError
from payments.providers.answers import UnusableAnswerError, require_usable
from payments.providers.base import BaseProvider
from payments.providers.building import build
from payments.providers.facts import Failure, SessionFact
from payments.providers.publishing import learn_secrets, publication, texts_in
from payments.providers.results import ProviderResult
from payments.providers.tracing import call_span
from payments.redaction import redact
from payments.states import Outcome
from payments.wording import kept_words

logger = logging.getLogger("payments.providers")

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT", bound=ProviderResult)


_KNOWN: Final = (
    *("session_id", "collection_id", "operation_id", "payment_id", "provider_reference"),
    *("account_holder_id", "account_reference", "return_url"),
)
"""Where requests name what is known outside of a provider."""

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
        provider = build(config)
        # A copy, so that an option that is changed in place is noticed.
        _built[alias] = (replace(config, options=dict(config.options)), provider)
        learn_secrets(each.options for _config, each in _built.values())
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


@sensitive_variables()
def _answer_to(
    verb: Callable[[RequestT], ResultT], request: RequestT, result_class: type[ResultT]
) -> ResultT:
    try:
        result = _without_card_data(_publishable(verb, request, _result_of(verb, request, result_class)))
        require_usable(result)
        return result
    except (KeyboardInterrupt, SystemExit):
        raise  # The process is to end: the reconciler finds out what became of the operation.
    except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything, and then nobody knows what it did
        return _unknown(verb, result_class, error)


def _result_of(
    verb: Callable[[RequestT], ResultT], request: RequestT, result_class: type[ResultT]
) -> ResultT:
    """Return what a verb answers, be it with an error that says what came of it."""
    try:
        return _checked(verb(request), result_class)
    except DeclinedError as error:
        failure = Failure(code=error.code, message=kept_words(error))
        return result_class(outcome=Outcome.DECLINED, failure=failure)
    except ProviderUnavailableError as error:
        failure = Failure(code=error.code, message=kept_words(error))
        return result_class(outcome=Outcome.NOT_SENT, failure=failure)


def publishable_fact(
    provider: BaseProvider[Any],
    fact: SessionFact,
    *private: Mapping[str, Any] | None,
    known: Iterable[Any] = (),
) -> SessionFact:
    """Return a fact that a provider has reported unasked, without what may not leave the server.

    `private` is what it keeps of the session so far, and `known` what in that isn't private.
    """
    way = publication(provider, fact.provider_data, *private, known=[fact.provider_reference, *known])
    return way.fact(fact)


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
    """Take card data out of what operators will read; a provider may quote what it was sent."""
    exchange = redact(result.exchange)
    return result if exchange == result.exchange else replace(result, exchange=exchange)


def _publishable(verb: Callable[..., Any], request: object, result: ResultT) -> ResultT:
    """Return a result without what may not leave the server, also in a fact that it reports."""
    provider = getattr(verb, "__self__", None)
    if not isinstance(provider, BaseProvider):
        return result
    way = publication(
        provider,
        *(getattr(part, "provider_data", None) for part in (request, result, getattr(result, "fact", None))),
        known=_known(request, result),
    )
    changes: dict[str, Any] = {
        name: publish(getattr(result, name))
        for name, publish in (
            ("data", way.data),
            ("failure", way.failure),
            ("next_action", way.action),
            ("methods", way.methods),
            ("fact", way.fact),
        )
        if getattr(result, name, None) is not None
    }
    is_news = any(value != getattr(result, name) for name, value in changes.items())
    return replace(result, **changes) if is_news else result


def _known(request: object, result: ProviderResult) -> set[Any]:
    """Return what isn't private to a provider although it keeps it: our ids, its own, and what the payer has sent."""
    sent = {getattr(request, name, None) for name in _KNOWN}
    sent.add(getattr(getattr(request, "context", None), "return_url", None))
    return {*sent, result.provider_reference, *texts_in(getattr(request, "input", {}))}


def _alias(verb: Callable[..., Any]) -> str:
    return str(getattr(getattr(verb, "__self__", None), "alias", ""))


def _name(verb: Callable[..., Any]) -> str:
    return str(getattr(verb, "__qualname__", verb))
