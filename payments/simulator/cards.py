"""Test cards: tokens that stand for cards. A real card number is no token and is always refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from payments.simulator.faults import Effect, Fault


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
