"""What may leave the server of what a provider returns: what it has declared, and nothing that holds a secret.

So a provider that mixes up the public and the private half of its data leaks nothing, and loses no money.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote
from uuid import UUID

from django.utils.functional import Promise

from payments import conf
from payments.providers.account_holders import SavedPaymentMethod
from payments.providers.facts import Failure, NextAction, SessionFact, is_web_address
from payments.redaction import REDACTED, redact_text
from payments.stored import kept_words

if TYPE_CHECKING:
    from payments.providers.base import BaseProvider

logger = logging.getLogger("payments.providers")

UNNAMED: Final = "declined"
"""The code of a refusal whose own isn't one word."""

SHORTEST: Final = 8
"""A shorter text isn't looked for: it would turn up by chance."""

CODE: Final = re.compile(r"[a-z0-9_]{1,64}")
"""What a code is: one word, for programs."""

_PATH: Final = re.compile(r"[^.\[\]\s]+(?:\[\])*(?:\.[^.\[\]\s]+(?:\[\])*)*")
_SECRET: Final = re.compile(
    r"secret|token|password|passphrase|credential|key|hmac|signing|private|(?<![a-z])pem(?![a-z])",
    re.IGNORECASE,
)
_PUBLIC: Final = re.compile(r"public|publishable", re.IGNORECASE)

_COMMON: Final = re.compile(
    r"(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,15})(?:[ _.-](?:[A-Z]?[a-z]{1,15}|[A-Z]{1,15}))*+"
    r"|\d{4}-\d\d-\d\d(?:[T ][0-9:.]+(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|-?\d+\.\d{1,4}"
    r"|(?:pay_col|payses|payop|pay|capt|refr|ref|acchld)_[0-9A-HJKMNP-TV-Z]{26}"
)
"""Words, dates, times, amounts and our ids: what is private and what is public may well have the same."""

_RETURN_URL: Final = "return_url"
"""Under this key private data have what the payer's own browser has sent, so it isn't private."""

_ITEMS: Final = "[]"


@dataclass(kw_only=True)
class Shape:
    """What is declared of a value: whether it may be a plain one, and which members or items it may have."""

    is_plain: bool = False
    members: dict[str, Shape] = field(default_factory=dict)


_NOTHING: Final = Shape()
_GONE: Final = object()
_WORDS: Final = ("code", "message", "detail")
_RECOGNIZED: Final = ("type", "brand", "last4", "expires")
_NUMBERS: Final = (int, float, type(None))
_TEXTS: Final = (str, Promise, UUID)

_secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Publication:
    """The way out of the server for what one provider returns; `private` are the texts that may not take it.

    A provider declares each part of its public data by name, as `public_data_keys`: "client_token" is a plain value,
    "next.url" a plain value in an object, and "methods[].id" one in each object of a list. What isn't declared is left
    out. So is, wherever it stands, a text that contains the value of an option whose name says that it is a secret, or
    a text of the private half. The log tells what was left out, each time: a payer may be waiting for it.
    """

    provider: BaseProvider[Any]
    private: frozenset[str] = frozenset()

    def data(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is declared, without the texts that may not leave."""
        kept, undeclared = declared_data(data, self.provider.public_data_keys)
        if undeclared:
            names = (REDACTED if self._holds_private(name) else name for name in undeclared)
            logger.warning(
                "Provider %s returned undeclared public keys: %s", self.provider.alias, ", ".join(names)
            )
        return {
            name: clean
            for name, value in kept.items()
            if (clean := self._clean(value, f"data.{name}")) is not _GONE
        }

    def failure(self, failure: Failure | None) -> Failure | None:
        """Return a failure whose code is one word, and whose words may be read by the payer."""
        if failure is None:
            return None
        code, message, detail = (redact_text(kept_words(getattr(failure, name))) for name in _WORDS)
        if self._is_kept_back(code, "failure.code"):
            code = UNNAMED
        elif not CODE.fullmatch(code):
            code, detail = UNNAMED, detail or code
        message = "" if self._is_kept_back(message, "failure.message") else message
        detail = "" if self._is_kept_back(detail, "failure.detail") else detail
        return replace(failure, code=code, message=message, detail=detail)

    def action(self, action: NextAction | None) -> NextAction | None:
        """Return an action; one whose address may not leave goes on without it, so that nothing passes for held."""
        url = getattr(
            action, "url", None
        )  # What isn't an action at all is refused with the rest of the answer.
        is_kept_back = isinstance(url, str) and self._is_kept_back(url, "next_action.url")
        return NextAction(type="provider_script") if is_kept_back else action

    def methods(self, methods: tuple[SavedPaymentMethod, ...]) -> tuple[SavedPaymentMethod, ...]:
        """Return saved payment methods: without what may not leave, and without one whose id may not."""
        parts = ((each, self._blanks(each)) for each in methods)
        return tuple(replace(each, **blanks) for each, blanks in parts if "id" not in blanks)

    def fact(self, fact: SessionFact) -> SessionFact:
        """Return a fact of which everything may be kept and shown."""
        return replace(
            fact,
            data=None if fact.data is None else self.data(fact.data),
            failure=self.failure(fact.failure),
            next_action=self.action(fact.next_action),
            movements=tuple(replace(row, failure=self.failure(row.failure)) for row in fact.movements),
        )

    def _clean(self, value: Any, where: str) -> Any:
        """Return a declared value without the texts that may not leave, or `_GONE`."""
        if isinstance(value, _NUMBERS):
            return value
        if isinstance(value, Mapping):
            inner = {name: self._clean(each, f"{where}.{name}") for name, each in value.items()}
            return {name: each for name, each in inner.items() if each is not _GONE}
        if isinstance(value, list | tuple):
            rows = (self._clean(each, f"{where}{_ITEMS}") for each in value)
            return [each for each in rows if each is not _GONE]
        # What isn't a text yet, such as a lazy one, becomes one in JSON.
        return _GONE if self._is_kept_back(str(value), where) else value

    def _blanks(self, method: SavedPaymentMethod) -> dict[str, str]:
        """Return the parts of a saved payment method that may not leave, as empty texts."""
        names = ("id", *_RECOGNIZED)
        return {
            name: "" for name in names if self._is_kept_back(str(getattr(method, name)), f"methods[].{name}")
        }

    def _is_kept_back(self, text: str, where: str) -> bool:
        """Return whether a text may not leave, and tell the log so."""
        is_kept_back = self._holds_private(text)
        if is_kept_back:
            logger.error(
                "Provider %s would have published in %s what is private or secret: it was left out.",
                self.provider.alias,
                where,
            )
        return is_kept_back

    def _holds_private(self, text: str) -> bool:
        plain = f"{text} {unquote(text)}" if "%" in text else text
        if any(each in plain and not _leads_back(each, text) for each in self.private):
            return True
        return holds_secret(plain)


def _leads_back(private: str, text: str) -> bool:
    """Return whether a private text is an address to come back to, as is in many an address that leads away.

    What has a query may have a secret in it, and what isn't a part but the whole leads to the private place itself.
    """
    is_part = "?" not in private and private not in (text, unquote(text))
    return is_part and is_web_address(private) and is_web_address(text)


def publication(
    provider: BaseProvider[Any],
    *private: Mapping[str, Any] | None,
    known: Iterable[Any] = (),
) -> Publication:
    """Return the way out for what a provider returns next to these private halves.

    What stands in them under a key that is public isn't private, nor is what is `known` outside, such as our ids. That
    is decided when something comes in: what is stored is read again with no private half, as it was found public.
    """
    texts = {
        text
        for half in private
        for name, value in (half or {}).items()
        if name != _RETURN_URL and name not in provider.public_data_keys
        for text in texts_in(value)
        if len(text) >= SHORTEST and not _COMMON.fullmatch(text)
    }
    return Publication(provider=provider, private=frozenset(texts.difference(known)))


def publishable_fact(
    provider: BaseProvider[Any],
    fact: SessionFact,
    *private: Mapping[str, Any] | None,
    known: Iterable[Any] = (),
) -> SessionFact:
    """Return the fact of an event without what may not leave the server.

    `private` is what it keeps of the session so far, and `known` what in that isn't private.
    """
    way = publication(provider, fact.provider_data, *private, known=[fact.provider_reference, *known])
    return way.fact(fact)


def declared_data(data: Mapping[str, Any], declared: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """Return what of public data is declared, and the names of the rest."""
    undeclared: list[str] = []
    kept = _pruned_members(data, _shape(frozenset(declared)), "", undeclared)
    return kept, sorted(set(undeclared))


def undeclarable(declared: Any) -> list[str]:
    """Return what of a provider's `public_data_keys` isn't a name as it has to be."""
    if not isinstance(declared, set | frozenset):
        return [repr(declared)]
    return sorted(repr(path) for path in declared if not (isinstance(path, str) and _PATH.fullmatch(path)))


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text among a nested value's leaves, and what becomes one in JSON."""
    if isinstance(value, _TEXTS):
        yield str(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from texts_in(each)


def holds_secret(text: str) -> bool:
    """Return whether a text contains a secret option of a configured provider."""
    return any(secret in text for secret in _secrets)


def learn_secrets(built: Iterable[Any]) -> None:
    """Note the secret options of all providers as they are configured now, and of those that are built."""
    global _secrets  # noqa: PLW0603 - one setting, one process
    entries = conf.payments_setting("PROVIDERS", {}).values()
    written = (entry.get("OPTIONS") for entry in entries if isinstance(entry, Mapping))
    options = (*(each for each in written if isinstance(each, Mapping)), *map(_named, built))
    texts = {text for each in options for text in secrets_in(each)}
    _secrets = frozenset(text for text in texts if len(text) >= SHORTEST)


def secrets_in(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of the options, however deep, whose names say that they are a key, a secret or a password."""
    for name, value in options.items():
        if _PUBLIC.search(str(name)):
            continue
        if _SECRET.search(str(name)):
            yield from texts_in(value)
        else:
            for each in value if isinstance(value, list | tuple) else (value,):
                yield from secrets_in(each) if isinstance(each, Mapping) else ()


def _named(options: Any) -> dict[str, Any]:
    """Return a dataclass's options by their names, the defaults among them."""
    return {option.name: getattr(options, option.name) for option in fields(options)}


@cache
def _shape(declared: frozenset[str]) -> Shape:
    whole = Shape()
    for path in declared:
        shape = whole
        for step in path.replace(_ITEMS, f".{_ITEMS}").split("."):
            shape = shape.members.setdefault(step, Shape())
        shape.is_plain = True
    return whole


def _pruned(value: Any, shape: Shape, path: str, undeclared: list[str]) -> Any:
    """Return what of a value its shape has; `undeclared` learns the names of the rest."""
    if isinstance(value, Mapping) and shape.members.keys() - {_ITEMS}:
        return _pruned_members(value, shape, f"{path}.", undeclared)
    if isinstance(value, list | tuple) and _ITEMS in shape.members:
        rows = [_pruned(each, shape.members[_ITEMS], f"{path}{_ITEMS}", undeclared) for each in value]
        return [each for each in rows if each is not _GONE]
    is_plain = not isinstance(value, Mapping | list | tuple | set | frozenset)
    if is_plain and (shape.is_plain or (value is None and shape.members)):
        return value
    undeclared.append(path)
    return _GONE


def _pruned_members(
    value: Mapping[str, Any], shape: Shape, prefix: str, undeclared: list[str]
) -> dict[str, Any]:
    parts = {
        name: _pruned(each, shape.members.get(name, _NOTHING), f"{prefix}{name}", undeclared)
        for name, each in value.items()
    }
    return {name: each for name, each in parts.items() if each is not _GONE}
