"""The vocabulary of misbehaviour (operations, faults and effects), and the test cards that call effects up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final

from payments.simulator.errors import InvalidRequestError


class Operation(StrEnum):
    """What a merchant can ask of the service."""

    INITIATE = "initiate"
    UPDATE = "update"
    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    REFUND = "refund"
    CANCEL = "cancel"
    RETRIEVE = "retrieve"
    ACCOUNT = "account"


class Fault(StrEnum):
    """How the service can misbehave."""

    DECLINE = "decline"
    CHALLENGE = "challenge"
    PARTIAL_AUTHORIZATION = "partial_authorization"
    ASYNC = "async"
    LATENCY = "latency"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    ERROR_500_BEFORE = "error_500_before"
    ERROR_500_AFTER = "error_500_after"
    STICKY_500 = "sticky_500"
    GARBAGE = "garbage"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CURRENCY = "wrong_currency"
    RATE_LIMITED = "rate_limited"


ACTS: Final = frozenset({Fault.DECLINE, Fault.CHALLENGE, Fault.PARTIAL_AUTHORIZATION, Fault.ASYNC})
"""Faults that decide what is done; the others decide how it is answered."""

NEVER_ON_REPLAY: Final = ACTS | {Fault.STICKY_500, Fault.WRONG_AMOUNT, Fault.WRONG_CURRENCY}
"""Faults that make sense only for a request that is really carried out."""

_AUTHORIZE: Final = frozenset({Operation.AUTHORIZE})
_WRITES: Final = frozenset(Operation) - {Operation.RETRIEVE}
_APPLIES: Final[dict[Fault, frozenset[Operation]]] = {
    Fault.DECLINE: _WRITES,
    Fault.CHALLENGE: _AUTHORIZE,
    Fault.PARTIAL_AUTHORIZATION: _AUTHORIZE,
    Fault.ASYNC: frozenset({Operation.AUTHORIZE, Operation.CAPTURE, Operation.REFUND}),
    Fault.STICKY_500: _WRITES,
}

_OPTIONS: Final[dict[Fault, frozenset[str]]] = {
    Fault.DECLINE: frozenset({"code", "message"}),
    Fault.PARTIAL_AUTHORIZATION: frozenset({"amount", "percent"}),
    Fault.ASYNC: frozenset({"delay", "outcome", "code", "message"}),
    Fault.LATENCY: frozenset({"seconds", "when"}),
    Fault.STICKY_500: frozenset({"acted"}),
    Fault.GARBAGE: frozenset({"acted"}),
    Fault.WRONG_AMOUNT: frozenset({"delta", "in_ledger"}),
    Fault.WRONG_CURRENCY: frozenset({"currency"}),
    Fault.RATE_LIMITED: frozenset({"seconds"}),
}

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "code": (str,), "message": (str,), "currency": (str,), "outcome": (str,), "when": (str,),
    "amount": (int,), "percent": (int,), "delta": (int,), "delay": (int, float), "seconds": (int, float),
    "acted": (bool,), "in_ledger": (bool,),
}  # fmt: skip
_CHOICES: Final = {"outcome": ("succeeded", "failed"), "when": ("before", "after")}


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A fault and how it is to show.

    Arguments: `seconds` and `when` of a latency (and `seconds` of a Retry-After) · `code` and `message` of a
    decline · `amount` (minor units) or `percent` of a partial authorization · `delay` in seconds (None: the
    service's own) and `outcome` of what is pending · `acted`, whether a sticky 500 or garbage comes after the
    act · `delta` in minor units, and whether the ledger too holds the wrong amount · `currency` to lie with.
    """

    fault: Fault
    seconds: float = 1.0
    when: str = "before"
    code: str | None = None
    message: str | None = None
    amount: int | None = None
    percent: int = 60
    delay: float | None = None
    outcome: str = "succeeded"
    acted: bool | None = None
    delta: int = -1
    in_ledger: bool = False
    currency: str | None = None

    @classmethod
    def parse(cls, fault: object, operation: Operation | None, options: dict[str, Any]) -> Effect:
        """Build an effect from untrusted input; an option that the fault does not have is an error."""
        try:
            known = Fault(str(fault))
        except ValueError:
            raise InvalidRequestError(
                "unknown_fault", f"fault must be one of: {', '.join(Fault)}.", param="fault"
            ) from None
        applies = _APPLIES.get(known, frozenset(Operation))
        if operation not in applies and (operation is not None or known in _APPLIES):
            raise InvalidRequestError(
                "fault_not_applicable",
                f"{known} applies to: {', '.join(sorted(applies))}.",
                param="operation",
            )
        for name, value in options.items():
            _check_option(known, name, value)
        return cls(fault=known, **options)

    def options(self) -> dict[str, Any]:
        """Return the options that differ from their defaults."""
        named = ((field.name, getattr(self, field.name), field.default) for field in fields(self))
        return {name: value for name, value, default in named if name != "fault" and value != default}


def _check_option(fault: Fault, name: str, value: object) -> None:
    allowed = _OPTIONS.get(fault, frozenset())
    if name not in allowed:
        listed = ", ".join(sorted(allowed)) or "none"
        raise InvalidRequestError("unknown_option", f"Options of {fault}: {listed}.", param=name)
    kinds = _TYPES[name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise InvalidRequestError(
            "invalid_option", f"{name} must be of type {kinds[-1].__name__}.", param=name
        )
    if name in _CHOICES and value not in _CHOICES[name]:
        raise InvalidRequestError(
            "invalid_option", f"{name} must be {' or '.join(_CHOICES[name])}.", param=name
        )
    if name in ("amount", "percent", "delay", "seconds") and isinstance(value, int | float) and value < 0:
        raise InvalidRequestError("invalid_option", f"{name} must not be negative.", param=name)


@dataclass(frozen=True, kw_only=True)
class Card:
    """A test token and what authorizing with it brings about."""

    token: str
    text: str
    effect: Effect | None = None
    last4: str = "4242"


DEFAULT_CARD: Final = "card_ok"


def _card(token: str, text: str, effect: Effect | None = None, last4: str = "4242") -> Card:
    return Card(token=token, text=text, effect=effect, last4=last4)


def _declined(token: str, code: str, message: str) -> Card:
    effect = Effect(fault=Fault.DECLINE, code=code, message=message)
    return _card(token, f"Declined: {code}.", effect, last4="0002")


_CARDS: Final = (
    _card(DEFAULT_CARD, "Authorized at once. Also the card when none is given."),
    _card(
        "card_3ds",
        "The bank asks for a code first: requires_action. While the customer is away: authentication_required.",
        Effect(fault=Fault.CHALLENGE),
        last4="3220",
    ),
    _declined("card_declined", "card_declined", "The card was declined."),
    _declined("card_insufficient_funds", "insufficient_funds", "The card has insufficient funds."),
    _declined("card_expired", "expired_card", "The card has expired."),
    _card(
        "card_partial", "Only 60 % of the amount is authorized.", Effect(fault=Fault.PARTIAL_AUTHORIZATION)
    ),
    _card("card_async", "processing; authorized some seconds later.", Effect(fault=Fault.ASYNC)),
    _card(
        "card_async_declined",
        "processing; declined some seconds later.",
        Effect(fault=Fault.ASYNC, outcome="failed"),
    ),
    _card("card_timeout", "Authorized, but the answer never comes.", Effect(fault=Fault.TIMEOUT_AFTER)),
    _card("card_error", "Not authorized; the service answers 500.", Effect(fault=Fault.ERROR_500_BEFORE)),
    _card("card_garbage", "Authorized, but the answer can't be decoded.", Effect(fault=Fault.GARBAGE)),
)
CARDS: Final = {card.token: card for card in _CARDS}
