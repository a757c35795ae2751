"""Calls to providers: each with no transaction open, in a span, and with one of the five outcomes whatever happens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any, Final, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from payments.exceptions import DeclinedError, OpenTransactionError, ProviderUnavailableError
from payments.providers.base import BaseProvider
from payments.providers.facts import Failure
from payments.providers.publishing import publication, texts_in
from payments.providers.results import ProviderResult
from payments.providers.validation import UnusableAnswerError, check_usable
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
"""The attributes of requests that are known outside of the provider."""


def _installed() -> Any:
    try:
        return import_module("opentelemetry.trace")
    except ImportError:
        return None


trace: Any = _installed()
"""OpenTelemetry's tracing, or None where `opentelemetry-api` isn't installed."""


class CallSpan:
    """The span of one call, or nothing where OpenTelemetry isn't installed."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def end(self, outcome: str) -> None:
        """Note the outcome; an unknown one is an error."""
        if self._span is None:
            return
        self._span.set_attribute("payments.outcome", outcome)
        if outcome == "unknown":
            self._span.set_status(trace.StatusCode.ERROR)


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
        check_usable(result)
        return result
    except (KeyboardInterrupt, SystemExit):
        raise  # The process is ending: the reconciler finds out what became of the operation.
    except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything, and then nobody knows what it did
        return _unknown(verb, result_class, error)


def _result_of(
    verb: Callable[[RequestT], ResultT], request: RequestT, result_class: type[ResultT]
) -> ResultT:
    """Return what a verb answers, also by raising an error that says what came of it."""
    try:
        return _checked(verb(request), result_class)
    except DeclinedError as error:
        failure = Failure(code=error.code, message=kept_words(error))
        return result_class(outcome=Outcome.DECLINED, failure=failure)
    except ProviderUnavailableError as error:
        failure = Failure(code=error.code, message=kept_words(error))
        return result_class(outcome=Outcome.NOT_SENT, failure=failure)


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


@contextmanager
def call_span(*, provider_id: str, verb: str, request: Any) -> Iterator[CallSpan]:
    """Be in a span named after the verb for as long as the block takes.

    It says which provider was asked for what, for which operation, and with what outcome: no amount, no private data,
    and no words of an exception, which may quote what was sent.
    """
    if trace is None:
        yield CallSpan()
        return
    attributes = {"payments.provider": provider_id, "payments.verb": verb}
    for name in ("operation_id", "session_id"):
        value = getattr(request, name, None)
        if value is not None:
            attributes[f"payments.{name}"] = str(value)
    tracer = trace.get_tracer("payments")
    with tracer.start_as_current_span(
        f"payments {verb}",
        kind=trace.SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield CallSpan(span)


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
    provider_log = redact(result.provider_log)
    return result if provider_log == result.provider_log else replace(result, provider_log=provider_log)


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
