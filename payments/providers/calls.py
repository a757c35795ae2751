"""Calls to providers: each with no transaction open, in a span, and with one of the five outcomes whatever happens.

What a provider returned is used only where it is what its dataclass declares, so that it can be kept and shown. Nothing
here judges what a provider tells: an amount that can't be, or one that differs, is a fact like any other.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from payments.exceptions import DeclinedError, OpenTransactionError, ProviderUnavailableError
from payments.providers.base import BaseProvider
from payments.providers.facts import Failure
from payments.providers.public_data import publication, texts_in
from payments.providers.results import ProviderResult
from payments.redaction import redact
from payments.states import Outcome
from payments.stored import kept_words

logger = logging.getLogger("payments.providers")

note_call: ContextVar[Callable[[str, Outcome, float], None] | None] = ContextVar(
    "payments_note_call", default=None
)
"""Receives each call's provider, outcome and seconds, in background work that listens."""

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
    provider_id, started = _alias(verb), time.monotonic()
    with call_span(provider_id=provider_id, verb=getattr(verb, "__name__", "call"), request=request) as span:
        result = _answer_to(verb, request, result_class)
        span.end(str(result.outcome))
    if (note := note_call.get()) is not None:
        note(provider_id, result.outcome, time.monotonic() - started)
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


MAX_DEPTH: Final = 30
"""How many arrays and objects may be inside each other: MariaDB reads no more than 32."""

MAX_REFERENCE: Final = 255
"""No provider's ids are longer, in characters."""

_REFERENCES: Final = frozenset({"provider_reference", "capture_reference", "operation_id", "session_id"})


class UnusableAnswerError(Exception):
    """An answer of which a part can't be used; it has that part's dotted name, and doesn't repeat what it holds."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


def check_usable(answer: Any) -> None:
    """Raise UnusableAnswerError where a field isn't of the type that the answer's dataclass declares.

    A text has to be one that any database can hold, a time has to be aware, and what is kept as JSON has to be JSON.
    """
    where = _first_invalid(answer, type(answer), "")
    if where is not None:
        raise UnusableAnswerError(where)


def _first_invalid(value: Any, hint: Any, name: str) -> str | None:
    """Return the name of the innermost part that isn't what it should be, or None."""
    origin, arguments = _parts(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        invalid = [_first_invalid(value, each, name) for each in arguments]
        return None if None in invalid else max(filter(None, invalid), key=len)
    if is_dataclass(hint):
        return _first_invalid_within(value, hint, name)
    if origin is tuple:
        rows = (
            [_first_invalid(row, arguments[0], name) for row in value] if isinstance(value, tuple) else [name]
        )
        return next(filter(None, rows), None)
    return None if _fits(value, hint, name) else name


def _first_invalid_within(value: Any, hint: Any, name: str) -> str | None:
    if not isinstance(value, hint):
        return name
    prefix = f"{name}." if name else ""
    hints = _hints(hint)
    parts = (
        _first_invalid(getattr(value, part.name), hints[part.name], prefix + part.name)
        for part in fields(hint)
    )
    return next(filter(None, parts), None)


@cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


@cache
def _hints(dataclass: type) -> dict[str, Any]:
    return get_type_hints(dataclass)


def _fits(value: Any, hint: Any, name: str) -> bool:
    """Return whether a value that has no parts of its own is of a type."""
    origin, arguments = _parts(hint)
    if origin is Mapping:
        return isinstance(value, Mapping) and _is_json(value)
    choices = arguments or (tuple(hint) if issubclass(hint, Enum) else ())
    if choices:
        return value in choices
    if hint is str:
        text = str(value) if isinstance(value, Promise) else value
        return isinstance(text, str) and _is_text(text) and len(text) <= _longest(name)
    if hint is datetime:
        return isinstance(value, datetime) and value.utcoffset() is not None
    if hint is Decimal:
        return isinstance(value, Decimal) or type(value) is int
    return isinstance(value, hint)


def _longest(name: str) -> float:
    return MAX_REFERENCE if name.rpartition(".")[2] in _REFERENCES else math.inf


def _is_json(value: Mapping[str, Any]) -> bool:
    try:
        json.dumps(dict(value), cls=DjangoJSONEncoder, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return _is_storable(value)


def _is_storable(value: Any, depth: int = 0) -> bool:
    """Return whether every database keeps what JSON can write: PostgreSQL takes no NUL, MariaDB no deep nesting."""
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, Mapping):
        inner = [*value, *value.values()]
    elif isinstance(value, list | tuple):
        inner = list(value)
    else:
        return not isinstance(value, float) or math.isfinite(value)
    return depth < MAX_DEPTH and all(_is_storable(each, depth + 1) for each in inner)


def _is_text(value: str) -> bool:
    """Return whether a text has neither a NUL nor half of a surrogate pair."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
