"""The cards that a visitor may try, in a payer's words. Their ids are the simulator's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, kw_only=True)
class TrialCard:
    """Name a test card of the simulator, and say what happens to whoever pays with it."""

    id: str
    name: Promise
    effect: Promise


TRIAL_CARDS: Final = (
    TrialCard(id="card_ok", name=_("Plain card"), effect=_("goes through at once")),
    TrialCard(id="card_3ds", name=_("3-D Secure card"), effect=_("your bank asks for a code first")),
    TrialCard(id="card_declined", name=_("Blocked card"), effect=_("is declined")),
    TrialCard(id="card_insufficient_funds", name=_("Empty card"), effect=_("has insufficient funds")),
    TrialCard(id="card_partial", name=_("Nearly empty card"), effect=_("covers only 60 % of the amount")),
    TrialCard(id="card_async", name=_("Slow card"), effect=_("the bank answers some seconds later")),
    TrialCard(id="card_async_declined", name=_("Slow, blocked card"), effect=_("declined seconds later")),
    TrialCard(
        id="card_garbage",
        name=_("Card behind a broken line"),
        effect=_("charged, but the answer gets lost"),
    ),
)
