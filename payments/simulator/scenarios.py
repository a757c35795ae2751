"""Scripted misbehaviour, and the choice of what happens to a request: a script goes before the card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from payments.simulator.commands import Authorize, Command
from payments.simulator.errors import InvalidRequestError
from payments.simulator.faults import ACTS, CARDS, NEVER_ON_REPLAY, Effect, Fault, Operation
from payments.simulator.ledger import Ledger
from payments.simulator.records import Intent
from payments.simulator.server import Json


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """An effect waiting for a request; `times` is how often still (None: for ever)."""

    id: int
    operation: Operation | None
    effect: Effect
    reference: str | None
    intent: str | None
    times: int | None

    @classmethod
    def from_row(cls, row: Any) -> Scenario:
        """Read a ledger row."""
        return cls(
            id=row["id"],
            operation=Operation(row["operation"]) if row["operation"] else None,
            effect=Effect(fault=Fault(row["fault"]), **json.loads(row["options"])),
            reference=row["reference"],
            intent=row["intent"],
            times=row["times_left"],
        )

    def matches(self, subject: Subject) -> bool:
        """Say whether a request is meant."""
        if self.operation not in (None, subject.command.operation):
            return False
        if subject.is_replay and self.effect.fault in NEVER_ON_REPLAY:
            return False
        return self.reference in (None, *subject.references) and self.intent in (None, subject.intent_id)

    def as_json(self) -> Json:
        """Return the scenario as the control API lists it."""
        match = {"reference": self.reference, "intent": self.intent}
        return {
            "id": self.id,
            "operation": self.operation,
            "fault": self.effect.fault,
            "times": self.times,
            "match": {name: value for name, value in match.items() if value is not None},
            **self.effect.options(),
        }


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The request that a plan is made for."""

    command: Command
    intent: Intent | None
    is_replay: bool

    @property
    def intent_id(self) -> str | None:
        """Return the id of the intent, if there is one yet."""
        return self.intent.id if self.intent else None

    @property
    def references(self) -> tuple[str, ...]:
        """Return the merchant's references that name it."""
        own = getattr(self.command, "reference", None)
        return tuple(each for each in (own, self.intent.reference if self.intent else None) if each)

    @property
    def card(self) -> str | None:
        """Return the card that will be tried."""
        if not isinstance(self.command, Authorize):
            return None
        return self.command.card or (self.intent.card if self.intent else None)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to happen: `act` decides what is done, `wire` how it is answered."""

    act: Effect | None = None
    wire: Effect | None = None

    def with_effect(self, effect: Effect | None) -> Plan:
        """Return the plan with one more effect, where nothing stronger has taken its place."""
        if effect is None:
            return self
        if effect.fault in ACTS:
            return Plan(act=self.act or effect, wire=self.wire)
        return Plan(act=self.act, wire=self.wire or effect)

    @property
    def faults(self) -> str | None:
        """Return the names of the faults, for the log of calls."""
        return "+".join(each.fault for each in (self.act, self.wire) if each) or None


class Scenarios:
    """All scripted scenarios, in order."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(
        self,
        *,
        operation: str | None,
        fault: str,
        times: object = 1,
        reference: str | None = None,
        intent: str | None = None,
        **options: Any,
    ) -> Scenario:
        """Script a fault for the next `times` matching requests (None: for all)."""
        known = _parse_operation(operation)
        effect = Effect.parse(fault, known, options)
        if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
            raise InvalidRequestError(
                "invalid_parameter", "times must be a positive integer or null.", param="times"
            )
        with self._ledger.transaction():
            scenario_id = self._ledger.insert(
                "scenarios",
                operation=known,
                fault=effect.fault,
                options=json.dumps(effect.options()),
                reference=reference,
                intent=intent,
                times_left=times,
            )
            return Scenario.from_row(self._ledger.row("SELECT * FROM scenarios WHERE id = ?", scenario_id))

    def find(self) -> list[Scenario]:
        """Return the scenarios that are not used up."""
        return [Scenario.from_row(row) for row in self._ledger.select("scenarios", "id")]

    def clear(self) -> None:
        """Drop all scenarios."""
        self._ledger.execute("DELETE FROM scenarios")

    def plan(self, subject: Subject) -> Plan:
        """Decide what happens to a request, and use up what decided it."""
        with self._ledger.transaction():
            plan = Plan().with_effect(self._take(subject))
            if subject.is_replay:
                return plan
            card = CARDS.get(subject.card or "")
            return plan.with_effect(card.effect if card else None)

    def _take(self, subject: Subject) -> Effect | None:
        for scenario in self.find():
            if scenario.matches(subject):
                self._use_up(scenario)
                return scenario.effect
        return None

    def _use_up(self, scenario: Scenario) -> None:
        if scenario.times is None:
            return
        if scenario.times > 1:
            self._ledger.update("scenarios", scenario.id, times_left=scenario.times - 1)
        else:
            self._ledger.execute("DELETE FROM scenarios WHERE id = ?", scenario.id)


def _parse_operation(operation: str | None) -> Operation | None:
    if operation in (None, "*"):
        return None
    try:
        return Operation(str(operation))
    except ValueError:
        rule = f"operation must be * or one of: {', '.join(Operation)}."
        raise InvalidRequestError("unknown_operation", rule, param="operation") from None
