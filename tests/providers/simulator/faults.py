"""Every fault of the simulator, what its provider makes of it, and what the service has done all the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from payments.simulator.faults import Fault, Operation
from payments.states import Outcome

SUCCEEDED, PENDING, DECLINED = Outcome.SUCCEEDED, Outcome.PENDING, Outcome.DECLINED
NOT_SENT, UNKNOWN = Outcome.NOT_SENT, Outcome.UNKNOWN

ABOUT_MONEY: Final = tuple(each for each in Operation if each is not Operation.ACCOUNT)
_WRITES: Final = tuple(each for each in ABOUT_MONEY if each is not Operation.RETRIEVE)
_ALL: Final = ABOUT_MONEY
_MOVES: Final = (Operation.CAPTURE, Operation.REFUND)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Say what comes of a fault: the `outcome`, whether the service `acts` nevertheless, and the `again` outcome.

    `again` is what the same request comes to when it is sent a second time, under the same key and without the fault.
    """

    fault: Fault
    operations: tuple[Operation, ...]
    outcome: Outcome
    acts: bool
    again: Outcome
    options: dict[str, Any] = field(default_factory=dict)
    hangs: bool = False

    def __str__(self) -> str:
        return "-".join([self.fault, *(f"{name}={value}" for name, value in self.options.items())])


def _case(
    fault: Fault,
    outcome: Outcome,
    *,
    acts: bool,
    again: Outcome,
    operations: tuple[Operation, ...] = _ALL,
    hangs: bool = False,
    **options: Any,
) -> Case:
    return Case(
        fault=fault,
        operations=operations,
        outcome=outcome,
        acts=acts,
        again=again,
        hangs=hangs,
        options=options,
    )


_AUTHORIZE: Final = (Operation.AUTHORIZE,)

CASES: Final = (
    _case(Fault.DECLINE, DECLINED, acts=False, again=DECLINED, operations=_WRITES),
    _case(Fault.CHALLENGE, SUCCEEDED, acts=False, again=SUCCEEDED, operations=_AUTHORIZE),
    _case(Fault.PARTIAL_AUTHORIZATION, SUCCEEDED, acts=True, again=SUCCEEDED, operations=_AUTHORIZE),
    _case(Fault.ASYNC, PENDING, acts=False, again=PENDING, operations=(*_AUTHORIZE, *_MOVES)),
    _case(Fault.LATENCY, SUCCEEDED, acts=True, again=SUCCEEDED, seconds=0.05),
    _case(Fault.LATENCY, UNKNOWN, acts=True, again=SUCCEEDED, hangs=True, seconds=0.6, when="after"),
    _case(Fault.TIMEOUT_BEFORE, UNKNOWN, acts=False, again=SUCCEEDED, hangs=True),
    _case(Fault.TIMEOUT_AFTER, UNKNOWN, acts=True, again=SUCCEEDED, hangs=True),
    _case(Fault.DROP_BEFORE, UNKNOWN, acts=False, again=SUCCEEDED),
    _case(Fault.DROP_AFTER, UNKNOWN, acts=True, again=SUCCEEDED),
    _case(Fault.ERROR_500_BEFORE, UNKNOWN, acts=False, again=SUCCEEDED),
    _case(Fault.ERROR_500_AFTER, UNKNOWN, acts=True, again=SUCCEEDED),
    _case(Fault.STICKY_500, UNKNOWN, acts=False, again=UNKNOWN, operations=_WRITES),
    _case(Fault.STICKY_500, UNKNOWN, acts=True, again=UNKNOWN, operations=_WRITES, acted=True),
    _case(Fault.GARBAGE, UNKNOWN, acts=True, again=SUCCEEDED),
    _case(Fault.GARBAGE, UNKNOWN, acts=False, again=SUCCEEDED, acted=False),
    _case(Fault.WRONG_AMOUNT, SUCCEEDED, acts=True, again=SUCCEEDED),
    _case(Fault.WRONG_CURRENCY, SUCCEEDED, acts=True, again=SUCCEEDED),
    _case(Fault.RATE_LIMITED, NOT_SENT, acts=False, again=SUCCEEDED),
)
TABLE: Final = tuple((case, operation) for case in CASES for operation in case.operations)
IDS: Final = [f"{case}-{operation}" for case, operation in TABLE]
