"""The cards that a visitor may try, in a payer's words. Their tokens are the simulator's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, kw_only=True)
class TestCard:
    """Name a token of the simulator, and say what happens to whoever pays with it."""

    __test__ = False

    token: str
    name: Promise
    effect: Promise


TEST_CARDS: Final = (
    TestCard(token="card_ok", name=_("Plain card"), effect=_("goes through at once")),
    TestCard(token="card_3ds", name=_("3-D Secure card"), effect=_("your bank asks for a code first")),
    TestCard(token="card_declined", name=_("Blocked card"), effect=_("is declined")),
    TestCard(token="card_insufficient_funds", name=_("Empty card"), effect=_("has insufficient funds")),
    TestCard(token="card_partial", name=_("Nearly empty card"), effect=_("covers only 60 % of the amount")),
    TestCard(token="card_async", name=_("Slow card"), effect=_("the bank answers some seconds later")),
    TestCard(token="card_async_declined", name=_("Slow, blocked card"), effect=_("declined seconds later")),
    TestCard(
        token="card_garbage",
        name=_("Card behind a broken line"),
        effect=_("charged, but the answer gets lost"),
    ),
)
