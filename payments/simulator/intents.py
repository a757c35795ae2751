"""The life of an intent: made, authorized (with or without a challenge), declined, canceled, expired.

What the merchant asks for may be refused; the acts of the bank (`grant`, `refuse`) are facts and hold even for an
intent that was canceled meanwhile.
"""

from __future__ import annotations

import json
import secrets
from typing import Final

from payments.simulator.commands import Authorize, Initiate, Update
from payments.simulator.errors import ConflictError, InvalidRequestError, NotFoundError
from payments.simulator.faults import DEFAULT_CARD, Effect, Fault
from payments.simulator.ledger import Ledger
from payments.simulator.records import Intent, IntentStatus, Kind, MovementStatus
from payments.simulator.runtime import Clock, Settings, new_id, new_secret
from payments.simulator.webhooks import Events

CHALLENGE_CODE: Final = "123456"
CODES_ALLOWED: Final = 3

_OPEN: Final = (IntentStatus.REQUIRES_CONFIRMATION, IntentStatus.REQUIRES_ACTION, IntentStatus.DECLINED)


class Intents:
    """All intents of the service; each public method is one transaction of the ledger."""

    def __init__(self, ledger: Ledger, clock: Clock, settings: Settings, events: Events) -> None:
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._events = events

    # Reading

    def get(self, intent_id: str) -> Intent:
        """Return an intent as it stands now, or raise NotFoundError."""
        with self._ledger.transaction():
            intent = self._read("id", intent_id)
            return self._expire(intent) if self._is_expired(intent) else intent

    def get_by_challenge(self, challenge: str) -> Intent:
        """Return the intent whose challenge page this is, or raise NotFoundError."""
        return self._read("challenge", challenge)

    def find(self, *, reference: str | None = None) -> list[Intent]:
        """Return intents, oldest first."""
        with self._ledger.transaction():
            rows = self._ledger.select("intents", "seq", reference=reference)
            return [self.get(row["id"]) for row in rows]

    def latest(self, limit: int) -> list[Intent]:
        """Return the newest intents, newest first."""
        rows = self._ledger.rows("SELECT id FROM intents ORDER BY seq DESC LIMIT ?", limit)
        return [self.get(row["id"]) for row in rows]

    def _read(self, column: str, value: str) -> Intent:
        rows = self._ledger.select("intents", "seq", **{column: value})
        if not rows:
            raise NotFoundError("intent_not_found", "There is no such intent.")
        movements = self._ledger.select("movements", "seq", intent=rows[0]["id"])
        return Intent.from_row(rows[0], movements)

    # What the merchant asks for

    def create(self, wish: Initiate, *, amount: int) -> Intent:
        """Make an intent of an amount in minor units."""
        intent_id = new_id("int")
        with self._ledger.transaction():
            self._ledger.insert(
                "intents",
                id=intent_id,
                reference=wish.reference,
                amount=amount,
                currency=wish.currency,
                status=IntentStatus.REQUIRES_CONFIRMATION,
                return_url=wish.return_url,
                metadata=json.dumps(dict(wish.metadata)),
                client_token=new_secret("ct"),
                risk_score=secrets.randbelow(100),
                network_token=new_secret("ntk"),
                customer=wish.customer,
                created=self._clock.now(),
            )
            return self.get(intent_id)

    def update(self, wish: Update, *, amount: int | None) -> Intent:
        """Change an intent that is not authorized; a new amount ends a challenge made for the old one."""
        with self._ledger.transaction():
            intent = self._open_intent(wish.intent)
            changes: dict[str, object] = {}
            if wish.return_url is not None:
                changes["return_url"] = wish.return_url
            if amount is not None and amount != intent.amount:
                changes |= {"amount": amount, "wrong_codes": 0, "challenge": None, **_NO_PROBLEM}
                changes["status"] = IntentStatus.REQUIRES_CONFIRMATION
            return self._change(intent, **changes) if changes else intent

    def authorize(self, wish: Authorize, *, effect: Effect | None, amount_delta: int = 0) -> Intent:
        """Try to authorize; see `status` for the outcome. `amount_delta` (minor units) makes the ledger wrong."""
        with self._ledger.transaction():
            intent = self._open_intent(wish.intent)
            if wish.method is not None and wish.card is None:
                raise InvalidRequestError("unknown_method", _NOT_SAVED, param="method")
            if wish.reference is not None:
                intent = self._change(intent, authorization_reference=wish.reference)
            is_waiting = intent.status is IntentStatus.REQUIRES_ACTION
            if is_waiting and wish.card in (None, intent.card):
                return self._answer(intent, wish.code, effect, amount_delta) if wish.code else intent
            if wish.code and wish.card is None:
                raise ConflictError("no_challenge", "No challenge waits for a code.", param="code")
            card = wish.card or intent.card or DEFAULT_CARD
            intent = self._change(intent, card=card, wrong_codes=0, challenge=None, **_NO_PROBLEM)
            intent = self._carry_out(intent, _asked(effect, wish), amount_delta)
            if intent.status is IntentStatus.REQUIRES_ACTION and wish.code:
                return self._answer(intent, wish.code, None, amount_delta)
            return intent

    def answer_challenge(self, challenge: str, code: str) -> Intent:
        """Answer a challenge with a code, as its page does; the third wrong code declines."""
        with self._ledger.transaction():
            intent = self.get_by_challenge(challenge)
            waits = intent.status is IntentStatus.REQUIRES_ACTION
            return self._answer(intent, code, None, 0) if waits else intent

    def reject_challenge(self, challenge: str) -> Intent:
        """Decline because the shopper rejects the payment on the challenge page."""
        with self._ledger.transaction():
            intent = self.get_by_challenge(challenge)
            waits = intent.status is IntentStatus.REQUIRES_ACTION
            return (
                self.refuse(intent, "challenge_rejected", "The shopper rejected the payment.")
                if waits
                else intent
            )

    def cancel(self, intent_id: str) -> Intent:
        """Release what is not captured; an intent of which nothing was captured becomes canceled."""
        with self._ledger.transaction():
            intent = self.get(intent_id)
            if intent.status is IntentStatus.CANCELED or (
                intent.canceled_at and not intent.amount_capturable
            ):
                raise ConflictError("already_canceled", "The intent is canceled already.")
            if intent.status is not IntentStatus.AUTHORIZED:
                return self._announce_cancel(intent, status=IntentStatus.CANCELED, settles_at=None)
            if intent.amount_capturable == 0:
                is_waiting = intent.total(Kind.CAPTURE, MovementStatus.PENDING) > 0
                raise (
                    ConflictError("capture_pending", "A capture of all that is left is pending.")
                    if is_waiting
                    else ConflictError("already_captured", "All of it is captured: refund it.")
                )
            return self._announce_cancel(intent)

    # What the bank or the service does

    def grant(self, intent: Intent, amount: int) -> Intent:
        """Authorize an amount in minor units. A fact: it holds after a cancel too."""
        granted = self._change(
            intent,
            status=IntentStatus.AUTHORIZED,
            amount_authorized=amount,
            amount_canceled=0,
            authorizations=intent.authorizations + 1,
            authorized_at=self._clock.now(),
            canceled_at=None,
            settles_at=None,
            **_NO_PROBLEM,
        )
        self._events.emit("intent.authorized", granted)
        return granted

    def refuse(self, intent: Intent, code: str, message: str) -> Intent:
        """Decline the authorization."""
        refused = self._change(
            intent,
            status=IntentStatus.DECLINED,
            settles_at=None,
            **(_NO_PROBLEM | {"decline_code": code, "decline_message": message}),
        )
        self._events.emit("intent.declined", refused)
        return refused

    def settle(self, intent_id: str) -> Intent:
        """Let a processing intent be authorized."""
        with self._ledger.transaction():
            intent = self._processing(intent_id)
            return self.grant(intent, intent.amount)

    def fail(self, intent_id: str, *, code: str | None = None, message: str | None = None) -> Intent:
        """Let a processing intent be declined."""
        with self._ledger.transaction():
            intent = self._processing(intent_id)
            return self.refuse(intent, code or "card_declined", message or "The card was declined.")

    def _processing(self, intent_id: str) -> Intent:
        intent = self.get(intent_id)
        if intent.status is not IntentStatus.PROCESSING:
            raise ConflictError("not_pending", f"The intent is {intent.status}, not processing.")
        return intent

    def release_if_canceled(self, intent_id: str) -> Intent:
        """Release what a failed capture left behind after a cancel."""
        intent = self.get(intent_id)
        if intent.canceled_at is None or intent.amount_capturable == 0:
            return intent
        return self._release(intent)

    def _carry_out(self, intent: Intent, effect: Effect | None, delta: int) -> Intent:
        amount = intent.amount + delta
        if effect is None:
            return self.grant(intent, amount)
        if effect.fault is Fault.DECLINE:
            return self.refuse(
                intent, effect.code or "card_declined", effect.message or "The card was declined."
            )
        if effect.fault is Fault.CHALLENGE:
            return self._challenge(intent)
        if effect.fault is Fault.ASYNC:
            return self._postpone(intent, effect)
        share = effect.amount if effect.amount is not None else amount * effect.percent // 100
        return self.grant(intent, min(amount, max(1, share)))

    def _challenge(self, intent: Intent) -> Intent:
        waiting = self._change(intent, status=IntentStatus.REQUIRES_ACTION, challenge=new_id("chl"))
        self._events.emit("intent.requires_action", waiting)
        return waiting

    def _postpone(self, intent: Intent, effect: Effect) -> Intent:
        delay = self._settings.async_delay if effect.delay is None else effect.delay
        return self._change(
            intent,
            status=IntentStatus.PROCESSING,
            settles_at=None if delay is None else self._clock.now() + delay,
            settles_as=effect.outcome,
            settles_code=effect.code,
            settles_message=effect.message,
        )

    def _answer(self, intent: Intent, code: str, effect: Effect | None, delta: int) -> Intent:
        if code.strip() == CHALLENGE_CODE:
            is_same = effect is not None and effect.fault is Fault.CHALLENGE
            return self._carry_out(intent, None if is_same else effect, delta)
        wrong = intent.wrong_codes + 1
        if wrong >= CODES_ALLOWED:
            self._change(intent, wrong_codes=wrong)
            return self.refuse(intent, "challenge_failed", "A wrong code was entered three times.")
        left = CODES_ALLOWED - wrong
        message = f"This code is wrong. {left} {'try' if left == 1 else 'tries'} left."
        return self._change(intent, wrong_codes=wrong, error_code="incorrect_code", error_message=message)

    def _announce_cancel(self, intent: Intent, **changes: object) -> Intent:
        canceled = self._change(intent, canceled_at=self._clock.now(), **changes)
        canceled = self._release(canceled)
        self._events.emit("intent.canceled", canceled)
        return canceled

    def _release(self, intent: Intent) -> Intent:
        changes: dict[str, object] = {"amount_canceled": intent.amount_canceled + intent.amount_capturable}
        if intent.total(Kind.CAPTURE, MovementStatus.SUCCEEDED, MovementStatus.PENDING) == 0:
            changes["status"] = IntentStatus.CANCELED
        return self._change(intent, **changes)

    def _is_expired(self, intent: Intent) -> bool:
        if intent.status is not IntentStatus.AUTHORIZED or not intent.amount_capturable:
            return False
        return self._clock.now() >= (intent.authorized_at or 0) + self._settings.authorization_lifetime

    def _expire(self, intent: Intent) -> Intent:
        return self._announce_cancel(intent, error_code="authorization_expired", error_message=EXPIRED)

    def _open_intent(self, intent_id: str) -> Intent:
        intent = self.get(intent_id)
        if intent.status in _OPEN:
            return intent
        code, message = _NOT_OPEN[intent.status]
        raise ConflictError(code, message)

    def _change(self, intent: Intent, **columns: object) -> Intent:
        self._ledger.update("intents", intent.id, **columns)
        return self._read("id", intent.id)


def _asked(effect: Effect | None, wish: Authorize) -> Effect | None:
    """Return what comes of trying: a bank that wants a customer who is away declines."""
    if effect is None or effect.fault is not Fault.CHALLENGE or not wish.off_session:
        return effect
    return Effect(fault=Fault.DECLINE, code="authentication_required", message=_AWAY)


_NOT_SAVED: Final = "The intent's customer has saved no such card."
_AWAY: Final = "The bank wants the customer to confirm this payment."
EXPIRED: Final = "The authorization has expired."
_NO_PROBLEM: Final[dict[str, object]] = {
    "decline_code": None, "decline_message": None, "error_code": None, "error_message": None,
}  # fmt: skip
_NOT_OPEN: Final = {
    IntentStatus.AUTHORIZED: ("already_authorized", "The intent is authorized already."),
    IntentStatus.CANCELED: ("already_canceled", "The intent is canceled."),
    IntentStatus.PROCESSING: ("authorization_pending", "An authorization is pending; wait for its outcome."),
}
