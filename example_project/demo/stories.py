"""What happened at Saltglaze in the last weeks: every status that a payment can have, each for a reason.

A story is told at most once per database; its order's number is its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from example_project.demo.teller import Teller

Tell = Callable[[Teller], None]


@dataclass(frozen=True, kw_only=True)
class Story:
    """Name a story by its order's number."""

    number: str
    tell: Tell


def shipped(
    teller: Teller,
    days: float,
    who: str,
    *pieces: tuple[str, int],
    currency: str = "eur",
    card: str = "card_ok",
) -> None:
    """Paid by card and sent a day later: the money is taken when the parcel leaves."""
    teller.days_ago(days)
    teller.buy(*pieces, who=who, currency=currency)
    session = teller.pay(card)
    if card == "card_3ds":
        session = teller.enter_code(session)
    teller.days_ago(max(days - 1.1, 0.02))
    teller.capture(session)


def transferred(
    teller: Teller, days: float, who: str, *pieces: tuple[str, int], currency: str = "eur"
) -> None:
    """Paid by bank transfer, which took three days."""
    teller.days_ago(days)
    teller.buy(*pieces, who=who, currency=currency)
    session = teller.transfer()
    teller.days_ago(days - 3)
    teller.capture(session)


def waiting_for_parcel(
    teller: Teller, days: float, who: str, *pieces: tuple[str, int], currency: str = "eur"
) -> None:
    """Authorized, and not sent yet."""
    teller.days_ago(days)
    teller.buy(*pieces, who=who, currency=currency)
    teller.pay()


def paid_in_two_parts(teller: Teller) -> None:
    """Split over card and transfer: both were taken, the card's in two parcels."""
    teller.days_ago(20)
    teller.buy(("supper-for-two", 1), who="mia")
    transfer = teller.transfer("40.00")
    card = teller.enter_code(teller.pay("card_3ds", "60.00"))
    teller.days_ago(18)
    teller.capture(card, "25.00")
    teller.days_ago(16)
    teller.capture(card, "35.00")
    teller.capture(transfer)
    teller.days_ago(9)
    teller.refund(
        card, "15.00", why="Damaged in transit", note="One plate chipped at the rim; photo in the mail."
    )


def half_of_a_split(teller: Teller) -> None:
    """Split, and the card's part never came: partially authorized."""
    teller.days_ago(2.2)
    teller.buy(("supper-for-two", 1), ("harbour-mug", 2), who="tomas@example.org")
    teller.transfer("48.00")
    teller.pay("card_declined", "100.00")


def nearly_empty_card(teller: Teller) -> None:
    """The card covered 60 %, and the rest came by transfer."""
    teller.days_ago(11)
    teller.buy(("foghorn-teapot", 1), ("harbour-mug", 1), who="ines@example.org")
    card = teller.pay("card_partial")
    transfer = teller.transfer()
    teller.days_ago(8)
    teller.capture(card)
    teller.capture(transfer)


def first_parcel_only(teller: Teller) -> None:
    """Partially captured: the vase went, the teapot is still in the kiln."""
    teller.days_ago(6)
    teller.buy(("kelp-vase", 1), ("foghorn-teapot", 1), who="mia")
    card = teller.pay()
    teller.days_ago(4)
    teller.capture(card, "58.00")


def rest_released(teller: Teller) -> None:
    """One piece broke in the kiln: its part of the authorization was released."""
    teller.days_ago(13)
    teller.buy(("gale-jug", 1), ("tide-bowl", 1), who="lena@example.org")
    card = teller.pay()
    teller.days_ago(11)
    teller.capture(card, "46.00")
    teller.release(card)


def never_paid(teller: Teller) -> None:
    """Looked at the checkout, and left: not paid."""
    teller.days_ago(3)
    teller.buy(("dune-planter", 1), who="marek@example.org")
    teller.open()


def no_payment_at_all(teller: Teller) -> None:
    """Ordered, and never came to the checkout: there is no collection."""
    teller.days_ago(1.5)
    teller.buy(("beacon", 1), who="olga@example.org")


def on_the_way_to_paying(teller: Teller) -> None:
    """Chose a card and stopped there: awaiting authorization."""
    teller.days_ago(0.3)
    teller.buy(("shoal-plate", 4), who="mia")
    teller.start()


def at_the_bank(teller: Teller) -> None:
    """The bank asked for a code, which nobody has entered yet: requires more."""
    teller.days_ago(0.05)
    teller.buy(("foghorn-teapot", 1), who="mia")
    teller.pay("card_3ds")


def still_checking(teller: Teller) -> None:
    """The bank takes days to answer: pending at the provider."""
    teller.days_ago(0.2)
    teller.buy(("kelp-vase", 2), who="pavel@example.org")
    session = teller.start()
    teller.misbehave(session, "authorize", "async", delay=3 * 24 * 3600)
    teller.authorize(session, "card_ok")


def declined(teller: Teller, days: float, who: str, card: str) -> None:
    """Declined, and nothing else was tried."""
    teller.days_ago(days)
    teller.buy(("tide-bowl", 2), ("harbour-mug", 1), who=who)
    teller.pay(card)


def second_card_worked(teller: Teller) -> None:
    """Declined first, then paid with another card."""
    teller.days_ago(15)
    teller.buy(("gale-jug", 1), who="ruth@example.org")
    teller.pay("card_insufficient_funds")
    session = teller.pay("card_ok")
    teller.days_ago(14)
    teller.capture(session)


def changed_their_way_of_paying(teller: Teller) -> None:
    """Began with a card, then chose a transfer: the first session was canceled."""
    teller.days_ago(7)
    teller.buy(("dune-planter", 2), who="mia")
    teller.start()
    session = teller.transfer()
    teller.days_ago(4.5)
    teller.capture(session)


def canceled_before_shipping(teller: Teller) -> None:
    """Canceled by the shop before anything was sent: the authorization was released."""
    teller.days_ago(17)
    teller.buy(("kelp-vase", 1), who="jonas@example.org")
    teller.pay()
    teller.days_ago(16.6)
    teller.cancel()


def abandoned(teller: Teller) -> None:
    """Never paid, and canceled after two weeks."""
    teller.days_ago(28)
    teller.buy(("beacon", 2), who="greta@example.org")
    teller.start()
    teller.days_ago(14)
    teller.cancel()


def all_of_it_back(teller: Teller) -> None:
    """Everything was sent back: fully refunded."""
    teller.days_ago(24)
    teller.buy(("foghorn-teapot", 1), who="mia")
    session = teller.pay()
    teller.days_ago(23)
    teller.capture(session)
    teller.days_ago(12)
    teller.refund(session, why="Changed their mind", note="Came back unused, in its own straw.")


def back_in_two_steps(teller: Teller) -> None:
    """A wrong piece first, some goodwill later: partially refunded twice."""
    teller.days_ago(26)
    teller.buy(("shoal-plate", 3), ("tide-bowl", 1), who="hanna@example.org")
    session = teller.pay()
    teller.days_ago(25)
    teller.capture(session)
    teller.days_ago(19)
    teller.refund(session, "28.00", why="Wrong piece sent", note="Sent two bowls and two plates.")
    teller.days_ago(10)
    teller.refund(session, "10.00", why="Goodwill")


def refunded_at_the_provider(teller: Teller) -> None:
    """Somebody refunded in the payment service's own dashboard; a sync found it."""
    teller.days_ago(21)
    teller.buy(("harbour-mug", 4), who="ivo@example.org")
    session = teller.pay()
    teller.days_ago(20)
    teller.capture(session)
    teller.days_ago(5)
    teller.simulator.refund(str(session.provider_reference), 2400, reason="asked by phone")
    teller.sync(session)


def refund_that_failed(teller: Teller) -> None:
    """The bank sent the refund back: it failed, and the money is still here."""
    teller.days_ago(18)
    teller.buy(("gale-jug", 1), ("beacon", 2), who="sven@example.org")
    session = teller.pay()
    teller.days_ago(17)
    teller.capture(session)
    teller.misbehave(session, "refund", "async", delay=30 * 24 * 3600)
    teller.days_ago(9)
    teller.refund(session, "46.00", why="Damaged in transit")
    intent = teller.simulator.intent(str(session.provider_reference))
    teller.days_ago(6)
    teller.simulator.fail(intent.movements[-1].id, code="account_closed", message="The account is closed.")
    teller.sync(session)


def refund_on_its_way(teller: Teller) -> None:
    """A refund that the bank has not confirmed: pending, and its amount is reserved."""
    teller.days_ago(8)
    teller.buy(("supper-for-two", 1), who="mia")
    session = teller.pay()
    teller.days_ago(7)
    teller.capture(session)
    teller.misbehave(session, "refund", "async", delay=5 * 24 * 3600)
    teller.days_ago(0.4)
    teller.refund(session, "50.00", why="Ordered twice")


def capture_refused(teller: Teller) -> None:
    """A capture that the provider refused, then one that worked."""
    teller.days_ago(10)
    teller.buy(("dune-planter", 1), ("gale-jug", 1), who="dora@example.org")
    session = teller.pay()
    teller.misbehave(session, "capture", "decline")
    teller.days_ago(9)
    teller.capture(session)
    teller.days_ago(8.9)
    teller.capture(session)


def provider_was_busy(teller: Teller) -> None:
    """The provider was too busy to listen, so nothing was sent; the second try worked."""
    teller.days_ago(5)
    teller.buy(("tide-bowl", 3), who="emil@example.org")
    session = teller.pay()
    teller.misbehave(session, "capture", "rate_limited")
    teller.days_ago(4)
    teller.capture(session)
    teller.days_ago(3.99)
    teller.capture(session)


def nobody_knows(teller: Teller) -> None:
    """The line broke while capturing, and the provider doesn't answer questions about it: outcome unknown."""
    teller.days_ago(1.2)
    teller.buy(("supper-for-two", 1), ("kelp-vase", 1), who="karl@example.org")
    session = teller.pay()
    teller.misbehave(session, "capture", "drop_after")
    teller.misbehave(session, "retrieve", "error_500_before", times=None)
    teller.days_ago(0.1)
    teller.capture(session)


def somebody_has_to_look(teller: Teller) -> None:
    """The provider says that it took another amount than it was asked for: needs attention."""
    teller.days_ago(2.5)
    teller.buy(("foghorn-teapot", 2), who="britta@example.org")
    session = teller.pay()
    teller.misbehave(session, "capture", "wrong_amount", delta=-500)
    teller.days_ago(1.4)
    teller.capture(session)


def three_installments(teller: Teller) -> None:
    """Paid in three monthly parts, of which the first is here."""
    teller.days_ago(25)
    teller.buy(("supper-for-two", 3), who="mia")
    first, *_later = teller.plan(3, teller.now)
    first = teller.authorize(first, "card_ok")
    teller.capture(first)


def installment_is_due(teller: Teller) -> None:
    """Two of four installments are paid, and the third fell due yesterday."""
    teller.days_ago(29)
    teller.buy(("foghorn-teapot", 2), ("gale-jug", 1), who="noor", currency="kwd")
    sessions = teller.plan(4, teller.now - timedelta(days=33))
    for session in sessions[:2]:
        teller.capture(teller.authorize(session, "card_ok"))


def paid_in_cash(teller: Teller) -> None:
    """Fetched at the workshop and paid there: marked as paid."""
    teller.days_ago(4)
    teller.buy(("shoal-plate", 2), who="walkin@example.org")
    teller.open()
    teller.days_ago(3.5)
    teller.mark_as_paid()


def yen_split(teller: Teller) -> None:
    """Yen, which have no decimals: split, taken, and a plate given back."""
    teller.days_ago(22)
    teller.buy(("tide-bowl", 2), ("harbour-mug", 2), who="kenji", currency="jpy")
    transfer = teller.transfer("8200")
    card = teller.pay("card_ok", "10000")
    teller.days_ago(20)
    teller.capture(card)
    teller.capture(transfer)
    teller.days_ago(15)
    teller.refund(card, "5200", why="Damaged in transit", note="The bowl on top did not survive.")


def dinars_in_parts(teller: Teller) -> None:
    """Dinars, which have three decimals: captured in two parts, down to the last fils."""
    teller.days_ago(12)
    teller.buy(("kelp-vase", 1), ("tide-bowl", 1), who="noor", currency="kwd")
    card = teller.pay()
    teller.days_ago(10)
    teller.capture(card, "19.500")
    teller.days_ago(7)
    teller.capture(card, "10.125")


_TELLS: Final[tuple[Tell, ...]] = (
    lambda teller: shipped(teller, 34, "mia", ("harbour-mug", 2), ("beacon", 1)),
    lambda teller: transferred(teller, 33, "astrid@example.org", ("supper-for-two", 1)),
    lambda teller: shipped(teller, 31, "kenji", ("gale-jug", 1), ("harbour-mug", 1), currency="jpy"),
    installment_is_due,
    abandoned,
    back_in_two_steps,
    lambda teller: shipped(teller, 25.5, "noor", ("foghorn-teapot", 1), currency="kwd", card="card_3ds"),
    three_installments,
    all_of_it_back,
    yen_split,
    refunded_at_the_provider,
    paid_in_two_parts,
    lambda teller: shipped(teller, 19, "felix@example.org", ("dune-planter", 1), card="card_3ds"),
    refund_that_failed,
    canceled_before_shipping,
    second_card_worked,
    lambda teller: transferred(teller, 14, "kenji", ("shoal-plate", 6), currency="jpy"),
    rest_released,
    dinars_in_parts,
    nearly_empty_card,
    capture_refused,
    lambda teller: shipped(teller, 9, "mia", ("tide-bowl", 1), ("shoal-plate", 2), card="card_3ds"),
    refund_on_its_way,
    changed_their_way_of_paying,
    first_parcel_only,
    lambda teller: declined(teller, 5.5, "oskar@example.org", "card_expired"),
    provider_was_busy,
    paid_in_cash,
    never_paid,
    lambda teller: shipped(teller, 2.8, "petra@example.org", ("beacon", 4)),
    somebody_has_to_look,
    half_of_a_split,
    lambda teller: waiting_for_parcel(teller, 2, "kenji", ("kelp-vase", 1), currency="jpy"),
    no_payment_at_all,
    nobody_knows,
    lambda teller: waiting_for_parcel(teller, 0.9, "vera@example.org", ("gale-jug", 1), ("tide-bowl", 2)),
    lambda teller: waiting_for_parcel(teller, 0.6, "noor", ("dune-planter", 1), currency="kwd"),
    on_the_way_to_paying,
    still_checking,
    at_the_bank,
)

STORIES: Final = tuple(
    Story(number=f"SG-{number}", tell=tell) for number, tell in enumerate(_TELLS, start=1001)
)
"""All stories, the oldest first, so that ids rise with the time."""
