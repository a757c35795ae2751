"""The teller of one story: an order, and what becomes of its payment, through `payments.services` alone.

Everything goes to a really running simulator. What the payment service does by itself (a bank that answers, a refund
made in its dashboard) is done at the simulator, and read from there.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.models import User
from django.utils import timezone

from example_project.demo.travel import move_back
from example_project.shop.cart import CartLine, write_order
from example_project.shop.models import Order, Price
from payments import services
from payments.exceptions import DeclinedError, OutcomeUnknownError, ProviderUnavailableError
from payments.models import Payment, PaymentCollection, PaymentSession, RefundReason
from payments.simulator import SimulatorService
from payments.states import EventSource, SessionStatus

CARD: Final = "simulator"
TRANSFER: Final = "system"
DAY: Final = 24 * 3600.0

Amount = str | None


class Teller:
    """Tell one story. Amounts are strings in major units of the order's currency; None is what is left."""

    def __init__(self, number: str, simulator: SimulatorService) -> None:
        self._number = number
        self._days_ago = 0.0
        self.simulator = simulator
        self.order: Order | None = None
        self.collection: PaymentCollection | None = None

    # Time

    def days_ago(self, days: float) -> None:
        """Go on at a time that is so many days before now; it has to be later than where the story is."""
        self._move_rows(self._days_ago - days)
        self._days_ago = days
        self.simulator.set_clock(-days * DAY)

    def end(self) -> None:
        """Bring the story to its place in the past, and the simulator's clock back to now."""
        self._move_rows(self._days_ago)
        self.simulator.set_clock(0)

    def _move_rows(self, days: float) -> None:
        if self.order is not None and days:
            move_back(self.order, self.collection, timedelta(days=days))

    @property
    def now(self) -> datetime:
        """The time at which the story is."""
        return timezone.now() - timedelta(days=self._days_ago)

    # The payer

    def buy(self, *pieces: tuple[str, int], who: str, currency: str = "eur") -> None:
        """Place an order: slugs with quantities, by a customer's name or a guest's e-mail address."""
        customer = None if "@" in who else User.objects.filter(username=who).first()
        prices = {
            price.product.slug: price
            for price in Price.objects.filter(currency_code=currency).select_related("product")
        }
        lines = [
            CartLine(product=prices[slug].product, quantity=quantity, unit_price=prices[slug].amount)
            for slug, quantity in pieces
        ]
        self.order = write_order(
            lines=lines,
            currency_code=currency,
            email=who if "@" in who else f"{who}@example.com",
            customer=customer,
            number=self._number,
        )

    def open(self) -> PaymentCollection:
        """Open the order's collection, as the checkout page does."""
        if self.order is None:
            raise TypeError("Buy something first.")
        resolved = services.ResolvedPayable(
            payable=self.order,
            amount=self.order.total,
            currency_code=self.order.currency_code,
            customer=self.order.customer,
            description=f"Saltglaze {self.order.number}",
        )
        self.collection, _is_new = services.open_payment_collection(resolved, **self._payer)
        return self.collection

    def start(self, provider: str = CARD, amount: Amount = None) -> PaymentSession:
        """Create a session, and don't authorize it yet."""
        collection = self.collection or self.open()
        return services.create_payment_session(collection, provider_id=provider, amount=amount, **self._payer)

    def pay(self, card: str = "card_ok", amount: Amount = None) -> PaymentSession:
        """Pay by card; what isn't known yet stays so."""
        return self.authorize(self.start(CARD, amount), card=card)

    def transfer(self, amount: Amount = None) -> PaymentSession:
        """Promise a bank transfer."""
        return self.authorize(self.start(TRANSFER, amount))

    def authorize(self, session: PaymentSession, card: str | None = None) -> PaymentSession:
        """Authorize a session, with a card where it needs one."""
        with suppress(OutcomeUnknownError):
            services.authorize_payment_session(session, data={"card": card} if card else None, **self._payer)
        session.refresh_from_db()
        return session

    def enter_code(self, session: PaymentSession) -> PaymentSession:
        """Pass the bank's challenge, and authorize again."""
        self.simulator.answer_challenge(str(session.provider_reference))
        return self.authorize(session)

    def plan(self, count: int, first_due_at: datetime) -> list[PaymentSession]:
        """Agree on monthly installments by card."""
        return services.create_installment_plan(
            self.collection or self.open(),
            provider_id=CARD,
            count=count,
            interval="month",
            first_due_at=first_due_at,
            **self._payer,
        )

    # The shop

    def capture(self, session: PaymentSession, amount: Amount = None) -> None:
        """Take money; a refusal, or an outcome that isn't known, is part of the story."""
        with suppress(DeclinedError, ProviderUnavailableError, OutcomeUnknownError):
            services.capture_payment(payment_of(session), amount=amount, **self._staff)

    def refund(self, session: PaymentSession, amount: Amount = None, *, why: str, note: str = "") -> None:
        """Give money back for one of the shop's reasons."""
        reason = RefundReason.objects.get(label=why)
        with suppress(DeclinedError, ProviderUnavailableError, OutcomeUnknownError):
            services.refund_payment(
                payment_of(session), amount=amount, reason=reason, note=note, **self._staff
            )

    def release(self, session: PaymentSession) -> None:
        """Let go of what a payment holds and didn't take."""
        services.cancel_payment(payment_of(session), **self._staff)

    def drop(self, session: PaymentSession) -> None:
        """Cancel a session, as its payer."""
        services.cancel_payment_session(session, **self._payer)

    def cancel(self) -> None:
        """Cancel the whole collection."""
        services.cancel_payment_collection(self.collection or self.open(), **self._staff)

    def mark_as_paid(self) -> None:
        """Note that what was left came in cash."""
        services.mark_payment_collection_as_paid(self.collection or self.open(), **self._staff)

    def sync(self, session: PaymentSession) -> None:
        """Ask the simulator how a session stands."""
        services.sync_payment_session(session, **self._staff)

    # The simulator

    def misbehave(
        self, session: PaymentSession, operation: str, fault: str, *, times: int | None = 1, **how: Any
    ) -> None:
        """Have the simulator do the wrong thing at the next request about a session."""
        self.simulator.script(operation=operation, fault=fault, reference=session.pk, times=times, **how)

    @property
    def _payer(self) -> dict[str, Any]:
        customer = None if self.order is None else self.order.customer
        return {"actor": customer, "source": EventSource.STOREFRONT}

    @property
    def _staff(self) -> dict[str, Any]:
        return {"actor": User.objects.filter(username="admin").first(), "source": EventSource.ADMIN}


def payment_of(session: PaymentSession) -> Payment:
    """Return what a session has become, as it is now."""
    session.refresh_from_db()
    if session.status != SessionStatus.AUTHORIZED:
        raise TypeError(f"The session of this story is {session.status}, not authorized.")
    return Payment.objects.get(session=session)
