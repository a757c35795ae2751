"""What can be done at the service itself, past the merchant: look, act, script, switch.

Acts made here carry no reference of the merchant's, as those made in a payment service's own dashboard.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payments.simulator.calls import Call, Calls
from payments.simulator.customers import Customer, Customers, Method
from payments.simulator.errors import ConflictError, InvalidRequestError
from payments.simulator.faults import DEFAULT_CARD
from payments.simulator.intents import CHALLENGE_CODE, Intents
from payments.simulator.ledger import Ledger
from payments.simulator.movements import Movements, Pending
from payments.simulator.records import Intent, IntentStatus, Kind, Movement, MovementStatus
from payments.simulator.runtime import Clock, DeliveryPolicy, Settings
from payments.simulator.scenarios import Scenario, Scenarios
from payments.simulator.webhooks import Event, Events, WebhookSender


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What the service holds for one reference: amounts in minor units, and how often each thing happened."""

    authorized: int
    captured: int
    refunded: int
    canceled: int
    charged_back: int
    intents: int
    authorizations: int
    captures: int
    refunds: int


class Engine:
    """The service seen from inside; `.ledger` is its database."""

    def __init__(self, ledger: str | Path, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.ledger = Ledger(ledger)
        self._events = Events(self.ledger, self.clock, settings)
        self._intents = Intents(self.ledger, self.clock, settings, self._events)
        self._movements = Movements(self.ledger, self.clock, settings, self._events, self._intents)
        self._pending = Pending(self.ledger, self.clock, self._intents, self._movements)
        self._customers = Customers(self.ledger, self.clock)
        self._scenarios = Scenarios(self.ledger)
        self._calls = Calls(self.ledger, self.clock)
        self._webhooks = WebhookSender(self.ledger, self.clock, settings)

    # Looking

    def intent(self, intent_id: str) -> Intent:
        """Return one intent."""
        return self._intents.get(intent_id)

    def intents(self, *, reference: str | None = None) -> list[Intent]:
        """Return intents, oldest first."""
        return self._intents.find(reference=reference)

    def latest_intents(self, limit: int) -> list[Intent]:
        """Return the newest intents, newest first."""
        return self._intents.latest(limit)

    def calls(
        self,
        *,
        operation: str | None = None,
        reference: str | None = None,
        intent: str | None = None,
        key: str | None = None,
    ) -> list[Call]:
        """Return the calls received, oldest first."""
        return self._calls.find(operation=operation, reference=reference, intent=intent, key=key)

    def events(
        self, *, type: str | None = None, reference: str | None = None, intent: str | None = None
    ) -> list[Event]:
        """Return the events written, oldest first."""
        return self._events.find(type=type, reference=reference, intent=intent)

    def totals(self, reference: str) -> Totals:
        """Return the sums over all intents with a merchant's reference."""
        intents = self.intents(reference=reference)
        return Totals(
            authorized=sum(each.amount_authorized for each in intents),
            captured=sum(each.amount_captured for each in intents),
            refunded=sum(each.amount_refunded for each in intents),
            canceled=sum(each.amount_canceled for each in intents),
            charged_back=sum(each.amount_charged_back for each in intents),
            intents=len(intents),
            authorizations=sum(each.authorizations for each in intents),
            captures=_count(intents, Kind.CAPTURE),
            refunds=_count(intents, Kind.REFUND),
        )

    def customers(self, *, reference: str) -> list[Customer]:
        """Return the customers with a merchant's reference, oldest first."""
        return self._customers.find(reference=reference)

    def saved_methods(self, customer_id: str) -> list[Method]:
        """Return what a customer has saved, oldest first."""
        return self._customers.methods(customer_id)

    # Acting

    def save_method(self, customer_id: str, *, card: str = DEFAULT_CARD) -> Method:
        """Save a test card for a customer, as they do on the service's page."""
        return self._customers.save(customer_id, card)

    def authorize(self, intent_id: str, *, amount: int | None = None) -> Intent:
        """Let the bank authorize (minor units; None: all), even late: after a decline or a cancel."""
        with self.ledger.transaction():
            intent = self._intents.get(intent_id)
            if intent.authorizations:
                raise ConflictError("already_authorized", "The intent was authorized already.")
            return self._intents.grant(intent, intent.amount if amount is None else amount)

    def decline(self, intent_id: str, *, code: str = "card_declined", message: str | None = None) -> Intent:
        """Let the bank decline an intent that is not authorized."""
        with self.ledger.transaction():
            intent = self._intents.get(intent_id)
            if intent.status in (IntentStatus.AUTHORIZED, IntentStatus.CANCELED):
                raise ConflictError(f"already_{intent.status}", f"The intent is {intent.status}.")
            return self._intents.refuse(intent, code, message or "The card was declined.")

    def capture(self, intent_id: str, amount: int | None = None) -> Movement:
        """Capture (minor units; None: what is left)."""
        with self.ledger.transaction():
            left = self._intents.get(intent_id).amount_capturable
            return self._movements.capture(intent_id, left if amount is None else amount)

    def refund(self, intent_id: str, amount: int | None = None, *, reason: str | None = None) -> Movement:
        """Refund (minor units; None: what is left)."""
        with self.ledger.transaction():
            left = self._intents.get(intent_id).amount_refundable
            return self._movements.refund(intent_id, left if amount is None else amount, reason=reason)

    def cancel(self, intent_id: str) -> Intent:
        """Release what is not captured."""
        return self._intents.cancel(intent_id)

    def chargeback(
        self, intent_id: str, amount: int | None = None, *, reason: str = "fraudulent"
    ) -> Movement:
        """Let the shopper's bank take money back (minor units; None: all that was captured)."""
        return self._movements.charge_back(intent_id, amount, reason=reason)

    def settle(self, object_id: str) -> Intent | Movement:
        """Let a processing intent, or a pending capture or refund, succeed now."""
        return self._pending.settle(object_id)

    def fail(
        self, object_id: str, *, code: str | None = None, message: str | None = None
    ) -> Intent | Movement:
        """Let a processing intent, a pending capture or refund, or a refund that had succeeded, fail now."""
        return self._pending.fail(object_id, code=code, message=message)

    def answer_challenge(self, intent_id: str, code: str = CHALLENGE_CODE) -> Intent:
        """Answer the challenge as a shopper does on its page."""
        return self._intents.answer_challenge(self._challenge(intent_id), code)

    def reject_challenge(self, intent_id: str) -> Intent:
        """Reject the payment as a shopper does on the challenge page."""
        return self._intents.reject_challenge(self._challenge(intent_id))

    def _challenge(self, intent_id: str) -> str:
        challenge = self._intents.get(intent_id).challenge
        if challenge is None:
            raise ConflictError("no_challenge", "The intent has no challenge.")
        return challenge

    # Scripting

    def script(
        self,
        *,
        operation: str | None,
        fault: str,
        times: int | None = 1,
        reference: str | None = None,
        intent: str | None = None,
        **options: Any,
    ) -> Scenario:
        """Script a fault for the next `times` requests that match (None: for all)."""
        return self._scenarios.add(
            operation=operation, fault=fault, times=times, reference=reference, intent=intent, **options
        )

    def scenarios(self) -> list[Scenario]:
        """Return the scenarios that are not used up."""
        return self._scenarios.find()

    def clear_scenarios(self) -> None:
        """Drop all scenarios."""
        self._scenarios.clear()

    # Webhooks

    def deliver(
        self,
        *,
        duplicate: int = 1,
        hold: bool = False,
        delay: float = 0.0,
        drop: bool = False,
        reorder: bool = False,
    ) -> DeliveryPolicy:
        """Switch how events from now on are delivered; without arguments as usual, once and at once."""
        if duplicate < 1 or delay < 0:
            raise InvalidRequestError("invalid_parameter", "duplicate must be 1 or more, delay 0 or more.")
        policy = DeliveryPolicy(duplicate=duplicate, hold=hold, delay=delay, drop=drop, reorder=reorder)
        self.settings.delivery = policy
        return policy

    def release(self, *event_ids: str, reverse: bool = False) -> list[Event]:
        """Deliver held events in the order given; without ids all of them, oldest (or newest) first."""
        return self._events.release(*event_ids, reverse=reverse)

    def redeliver(self, event_id: str, *, times: int = 1) -> Event:
        """Deliver an event again, whatever became of it."""
        return self._events.redeliver(event_id, times=times)

    def wait_for_webhooks(self, timeout: float = 5.0) -> bool:
        """Wait until no delivery is pending; return whether that came true in time (seconds)."""
        return self._webhooks.wait_until_idle(timeout)

    # The whole service

    def set_clock(self, offset: float) -> None:
        """Set the service's clock ahead (or back) of the real one, in seconds."""
        self.clock.offset = offset
        self._pending.settle_due()
        self._pending.wake()

    def reset(self) -> None:
        """Forget everything and switch all misbehaviour off; settings of the service stay."""
        self.ledger.clear()
        self.settings.delivery = DeliveryPolicy()
        self.set_clock(0.0)


def _count(intents: list[Intent], kind: Kind) -> int:
    return sum(
        each.kind is kind and each.status is MovementStatus.SUCCEEDED
        for intent in intents
        for each in intent.movements
    )
