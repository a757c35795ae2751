"""The payment services of which there is a strict fake, each as a test needs it that is the same for all of them."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, ClassVar

from payments.models import PaymentCollection, PaymentSession
from payments.testing import configured_provider
from tests.fakes import USELESS, Fault
from tests.paypal import books as paypal_books
from tests.paypal import conftest as paypal
from tests.paypal.fake import FakePayPal
from tests.reliability.verbs import Payer, Verb
from tests.stripe import books as stripe_books
from tests.stripe import conftest as stripe
from tests.stripe.fake import FakeStripe


class Peer(abc.ABC):
    """A payment service that is a fake, with what differs from one to the other.

    `asked` says what each verb asks it for, `made` what it calls that which a session is there, `key_window` what is
    longer than its keys of sessions live, `lost` after which faults the outcome can be found out, and `keyless` which
    verbs have no key, since doing them twice makes no difference. `first_looks` is how often a capture asks before it
    is sent.
    """

    asked: ClassVar[Mapping[str, str]]
    made: ClassVar[str]
    key_window: ClassVar[timedelta]
    lost: ClassVar[tuple[Fault, ...]] = USELESS
    keyless: ClassVar[tuple[str, ...]] = ()
    first_looks: ClassVar[int] = 0
    fake: Any
    payer: Payer

    @abc.abstractmethod
    def configured(self) -> AbstractContextManager[None]:
        """Have the shop's provider talk to this account inside the block."""

    @abc.abstractmethod
    def capture(self, session: PaymentSession, amount: str | None = None, *, is_final: bool = True) -> None:
        """Capture in the dashboard, in whole euros or all that is held."""

    @abc.abstractmethod
    def assert_books_agree(self, collection: PaymentCollection) -> None:
        """Make sure that the shop has the same sums as the service, and nothing open."""

    @abc.abstractmethod
    def forget_ids(self) -> None:
        """Have the service not find a session by the shop's id."""

    def assert_done_once(self, verb: Verb) -> None:
        """Make sure that a verb that has a key was carried out once."""
        if verb.name not in self.keyless:
            assert self.fake.executed.count(self.asked[verb.name]) == 1


class StripePeer(Peer):
    """Stripe; what it failed at before it began stays failed under its key, so there is nothing to find out."""

    asked = {
        "initiate": "create",
        "update": "update",
        "authorize": "confirm",
        "capture": "capture",
        "refund": "refund",
        "cancel_session": "cancel",
        "cancel_payment": "cancel",
    }
    made = "payment_intent"
    key_window = timedelta(hours=25)
    lost = tuple(fault for fault in USELESS if fault != Fault.ERROR_BEFORE)
    payer = stripe.PAYER

    def __init__(self) -> None:
        self.fake = FakeStripe()

    @contextmanager
    def configured(self) -> Iterator[None]:
        entry = {"BACKEND": stripe.BACKEND, "OPTIONS": stripe.options_for(self.fake)}
        with self.fake, configured_provider("stripe", entry):
            yield

    def capture(self, session: PaymentSession, amount: str | None = None, *, is_final: bool = True) -> None:
        body = {} if amount is None else {"amount_to_capture": int(amount) * 100}
        self.fake.intents.capture(session.provider_reference or "", body)

    def assert_books_agree(self, collection: PaymentCollection) -> None:
        stripe_books.assert_books_agree(self.fake, collection)

    def forget_ids(self) -> None:
        self.fake.books.is_searchable = False


class PayPalPeer(Peer):
    """PayPal; a change of an order has no request id."""

    asked = {
        "initiate": "create",
        "update": "update",
        "authorize": "authorize",
        "capture": "capture",
        "refund": "refund",
        "cancel_session": "update",
        "cancel_payment": "void",
    }
    made = "order"
    key_window = timedelta(hours=6)
    keyless = ("update", "cancel_session")
    first_looks = 1

    def __init__(self) -> None:
        self.fake = FakePayPal()
        self.payer = paypal.payer_at(self.fake)

    @contextmanager
    def configured(self) -> Iterator[None]:
        entry = {"BACKEND": paypal.BACKEND, "OPTIONS": paypal.options_for(self.fake)}
        with self.fake, configured_provider("paypal", entry):
            yield

    def capture(self, session: PaymentSession, amount: str | None = None, *, is_final: bool = True) -> None:
        money = {} if amount is None else {"amount": {"currency_code": "EUR", "value": f"{amount}.00"}}
        authorization = self.fake.authorization_of(session.pk)
        self.fake.movements.capture(authorization.id, {**money, "final_capture": is_final})

    def assert_books_agree(self, collection: PaymentCollection) -> None:
        paypal_books.assert_books_agree(self.fake, collection)

    def forget_ids(self) -> None:
        """Do nothing: PayPal never finds an order by the shop's id."""


PEERS: tuple[type[Peer], ...] = (StripePeer, PayPalPeer)
