"""Magic amounts: the last two digits of the minor units call up a misbehaviour.

The digits avoid what prices and even splits end in: 0, 5 and 9, thirds (33 34 66 67 16) and 97 98.
A fault of the wire happens once per intent, so that a second try gets through; the others stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from payments.simulator.faults import ACTS, Effect, Fault, Operation


@dataclass(frozen=True, kw_only=True)
class DeliveryPolicy:
    """How webhooks are delivered.

    Arguments: `duplicate`, how many times each · `hold` until released · `delay` in seconds · `drop`, never ·
    `reorder`, hold each until the intent's next event, which goes first.
    """

    duplicate: int = 1
    hold: bool = False
    delay: float = 0.0
    drop: bool = False
    reorder: bool = False


@dataclass(frozen=True, kw_only=True)
class MagicAmount:
    """Two last digits, the operation whose amount is looked at (None: every one), and what happens."""

    digits: int
    operation: Operation | None
    text: str
    effect: Effect

    @property
    def is_once(self) -> bool:
        """Say whether it happens only once per intent."""
        return self.effect.fault not in ACTS


@dataclass(frozen=True, kw_only=True)
class MagicWebhook:
    """Two last digits of an intent's amount, and how the webhooks about it are delivered."""

    digits: int
    text: str
    policy: DeliveryPolicy


def _magic(digits: int, operation: Operation | None, text: str, effect: Effect) -> MagicAmount:
    return MagicAmount(digits=digits, operation=operation, text=text, effect=effect)


_INSUFFICIENT: Final = Effect(
    fault=Fault.DECLINE, code="insufficient_funds", message="The card has insufficient funds."
)
_A, _C, _R = Operation.AUTHORIZE, Operation.CAPTURE, Operation.REFUND
_TABLE: Final = (
    _magic(46, Operation.INITIATE, "500; no intent is made", Effect(fault=Fault.ERROR_500_BEFORE)),
    _magic(47, Operation.INITIATE, "intent is made, no answer", Effect(fault=Fault.TIMEOUT_AFTER)),
    _magic(51, Operation.CANCEL, "refused: cancel_declined", Effect(fault=Fault.DECLINE)),
    _magic(52, Operation.CANCEL, "canceled, no answer", Effect(fault=Fault.TIMEOUT_AFTER)),
    _magic(53, Operation.CANCEL, "canceled, then 500", Effect(fault=Fault.ERROR_500_AFTER)),
    _magic(56, Operation.RETRIEVE, "500", Effect(fault=Fault.ERROR_500_BEFORE)),
    _magic(57, Operation.UPDATE, "updated, no answer", Effect(fault=Fault.TIMEOUT_AFTER)),
    _magic(58, _A, "answers after 3 s", Effect(fault=Fault.LATENCY, seconds=3.0)),
    _magic(61, _A, "declined: card_declined", Effect(fault=Fault.DECLINE)),
    _magic(62, _A, "declined: insufficient_funds", _INSUFFICIENT),
    _magic(63, _A, "3DS challenge, whatever the card", Effect(fault=Fault.CHALLENGE)),
    _magic(64, _A, "60 % is authorized", Effect(fault=Fault.PARTIAL_AUTHORIZATION)),
    _magic(68, _A, "processing, authorized later", Effect(fault=Fault.ASYNC)),
    _magic(71, _A, "not authorized, no answer", Effect(fault=Fault.TIMEOUT_BEFORE)),
    _magic(72, _A, "authorized, no answer", Effect(fault=Fault.TIMEOUT_AFTER)),
    _magic(73, _A, "authorized, sticky 500 under the key", Effect(fault=Fault.STICKY_500, acted=True)),
    _magic(74, _A, "authorized, undecodable answer", Effect(fault=Fault.GARBAGE)),
    _magic(76, _A, "answer says one minor unit less", Effect(fault=Fault.WRONG_AMOUNT)),
    _magic(77, _A, "answer says another currency", Effect(fault=Fault.WRONG_CURRENCY)),
    _magic(78, _A, "429", Effect(fault=Fault.RATE_LIMITED)),
    _magic(81, _C, "declined: capture_declined", Effect(fault=Fault.DECLINE)),
    _magic(82, _C, "pending, succeeds later", Effect(fault=Fault.ASYNC)),
    _magic(83, _C, "captured, no answer", Effect(fault=Fault.TIMEOUT_AFTER)),
    _magic(84, _C, "captured, sticky 500 under the key", Effect(fault=Fault.STICKY_500, acted=True)),
    _magic(86, _C, "captured, connection dropped", Effect(fault=Fault.DROP_AFTER)),
    _magic(87, _C, "not captured, connection dropped", Effect(fault=Fault.DROP_BEFORE)),
    _magic(88, _C, "pending, fails later", Effect(fault=Fault.ASYNC, outcome="failed")),
    _magic(91, _R, "declined: refund_declined", Effect(fault=Fault.DECLINE)),
    _magic(92, _R, "pending, succeeds later", Effect(fault=Fault.ASYNC)),
    _magic(93, _R, "refunded, no answer", Effect(fault=Fault.TIMEOUT_AFTER)),
    _magic(94, _R, "pending, fails later", Effect(fault=Fault.ASYNC, outcome="failed")),
    _magic(96, _R, "refunded, then 500", Effect(fault=Fault.ERROR_500_AFTER)),
)
MAGIC_AMOUNTS: Final = {magic.digits: magic for magic in _TABLE}
MAGIC_WEBHOOKS: Final = {
    magic.digits: magic
    for magic in (
        MagicWebhook(digits=41, text="each delivered three times", policy=DeliveryPolicy(duplicate=3)),
        MagicWebhook(digits=42, text="each delivered 5 s late", policy=DeliveryPolicy(delay=5.0)),
        MagicWebhook(digits=43, text="never delivered", policy=DeliveryPolicy(drop=True)),
        MagicWebhook(
            digits=44, text="held until the next one, which goes first", policy=DeliveryPolicy(reorder=True)
        ),
    )
}


def find_magic(amount: int, operation: Operation) -> MagicAmount | None:
    """Return what an amount in minor units calls up for an operation."""
    magic = MAGIC_AMOUNTS.get(amount % 100)
    return magic if magic and magic.operation in (operation, None) else None


def find_policy(amount: int) -> DeliveryPolicy | None:
    """Return how webhooks about an intent of this amount (minor units) are delivered, if specially."""
    magic = MAGIC_WEBHOOKS.get(amount % 100)
    return magic.policy if magic else None
