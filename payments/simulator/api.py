"""The merchant's API, /v1: authenticate, parse, claim the key, plan, act, answer (or misbehave)."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, assert_never

from payments.simulator.calls import REPLAYED, Calls, Claim, Keys, fingerprint
from payments.simulator.commands import (
    PARSERS,
    AccountCommand,
    Authorize,
    Cancel,
    Capture,
    Command,
    CreateCustomer,
    DeleteCustomer,
    FindCustomers,
    Initiate,
    ListMethods,
    Params,
    Refund,
    RemoveMethod,
    Retrieve,
    SetUp,
    Update,
    decode_object,
)
from payments.simulator.customers import Customers
from payments.simulator.errors import NotFoundError, RefusedError, ServiceError, UnauthorizedError
from payments.simulator.faults import Effect, Fault
from payments.simulator.intents import Intents
from payments.simulator.ledger import Ledger
from payments.simulator.movements import Movements
from payments.simulator.records import Intent, IntentStatus, Movement, MovementStatus
from payments.simulator.runtime import Settings
from payments.simulator.scenarios import Plan, Scenarios, Subject
from payments.simulator.server import Answer, Delivery, Json, Request

_GARBAGE: Final = Answer(status=200, body=b"\xff\xfe<html>\x00 upstream connect error {")
_INTERNAL_ERROR: Final = Answer.of_json(
    {"error": {"code": "internal_error", "message": "Something went wrong at the service."}},
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
_HANG: Final = Answer(delivery=Delivery.HANG)
_DROP: Final = Answer(delivery=Delivery.DROP)
_INSTEAD: Final = {
    Fault.TIMEOUT_BEFORE: _HANG,
    Fault.DROP_BEFORE: _DROP,
    Fault.ERROR_500_BEFORE: _INTERNAL_ERROR,
}
_AFTERWARDS: Final = {
    Fault.TIMEOUT_AFTER: _HANG,
    Fault.DROP_AFTER: _DROP,
    Fault.ERROR_500_AFTER: _INTERNAL_ERROR,
    Fault.GARBAGE: _GARBAGE,
}


def error_answer(error: ServiceError, intent: Json | None = None) -> Answer:
    """Return an error as JSON, with the intent as it stands if there is one."""
    body = error.as_json() | ({"intent": intent} if intent else {})
    answer = Answer.of_json({"error": body}, error.status)
    return (
        answer.with_header("WWW-Authenticate", "Bearer")
        if error.status == HTTPStatus.UNAUTHORIZED
        else answer
    )


def check_api_key(request: Request, settings: Settings) -> None:
    """Raise unless the request carries the API key."""
    sent = request.headers.get("authorization", "").encode("utf-8", "replace")
    if not hmac.compare_digest(sent, f"Bearer {settings.api_key}".encode()):
        raise UnauthorizedError("unauthorized", "Send the API key as: Authorization: Bearer <api key>.")


@dataclass(kw_only=True)
class MerchantApi:
    """The merchant's side, /v1. `stopping` ends every wait."""

    ledger: Ledger
    settings: Settings
    intents: Intents
    movements: Movements
    customers: Customers
    keys: Keys
    scenarios: Scenarios
    calls: Calls
    stopping: threading.Event

    def answer(self, request: Request) -> Answer:
        """Answer one request and log it."""
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        call_id = self.calls.open(request.method, request.path, key)
        try:
            check_api_key(request, self.settings)
            answer = self._respond(request, key, call_id)
        except ServiceError as error:
            answer = error_answer(error)
        if answer.delivery is Delivery.SEND:
            is_replayed = REPLAYED in answer.headers
            self.calls.note(call_id, status=answer.status, replayed=is_replayed)
        return answer

    def _respond(self, request: Request, key: str | None, call_id: int) -> Answer:
        body = decode_object(request.body) if request.method == "POST" else {}
        command = _parse(request, body)
        intent = self._find_intent(command)
        command = self._with_saved_card(command, intent)
        self._log(call_id, command, intent)
        with self.keys.claim(key, fingerprint(request.method, request.path, body)) as claim:
            is_replay = claim.stored is not None
            plan = self.scenarios.plan(Subject(command=command, intent=intent, is_replay=is_replay))
            self.calls.note(call_id, fault=plan.faults)
            early = self._before(plan.wire)
            if early is not None:
                return early
            answer = claim.stored or self._execute(command, plan, claim, call_id)
            return self._after(plan.wire, answer)

    def _find_intent(self, command: Command) -> Intent | None:
        intent_id = getattr(command, "intent", None)
        if intent_id is None:
            return None
        try:
            return self.intents.get(intent_id)
        except NotFoundError:
            return None

    def _with_saved_card(self, command: Command, intent: Intent | None) -> Command:
        """Name the card that a saved method stands for, if it is the customer's; what is not is refused later.

        Not now, for under its key the request may have been answered while the method was still there.
        """
        if not isinstance(command, Authorize) or command.method is None or intent is None:
            return command
        method = self.customers.method(command.method)
        is_theirs = method is not None and method.customer == intent.customer
        return replace(command, card=method.card) if method is not None and is_theirs else command

    def _log(self, call_id: int, command: Command, intent: Intent | None) -> None:
        own = getattr(command, "reference", None)
        self.calls.note(
            call_id,
            operation=command.operation,
            intent=getattr(command, "intent", None),
            reference=intent.reference if intent else own,
            operation_reference=own if intent else None,
        )

    # Misbehaviour around the act

    def _before(self, effect: Effect | None) -> Answer | None:
        if effect is None:
            return None
        if effect.fault is Fault.LATENCY and effect.when == "before":
            self.stopping.wait(effect.seconds)
        if effect.fault is Fault.RATE_LIMITED:
            return _rate_limited(effect)
        if effect.fault is Fault.GARBAGE and effect.acted is False:
            return _GARBAGE
        return _INSTEAD.get(effect.fault)

    def _after(self, effect: Effect | None, answer: Answer) -> Answer:
        if effect is None:
            return answer
        if effect.fault is Fault.LATENCY and effect.when == "after":
            self.stopping.wait(effect.seconds)
        return _AFTERWARDS.get(effect.fault, answer)

    # The act

    def _execute(self, command: Command, plan: Plan, claim: Claim, call_id: int) -> Answer:
        with self.ledger.transaction():
            if plan.wire and plan.wire.fault is Fault.STICKY_500 and not plan.wire.acted:
                answer = _INTERNAL_ERROR
            else:
                answer = self._act_or_refuse(command, plan)
                if isinstance(command, Initiate) and answer.status == HTTPStatus.CREATED:
                    self.calls.note(call_id, intent=json.loads(answer.body)["id"])
                answer = _distort(plan.wire, answer)
            self.keys.store(claim, answer)
        return answer

    def _act_or_refuse(self, command: Command, plan: Plan) -> Answer:
        try:
            return self._act(command, plan)
        except ServiceError as error:
            if not error.is_stored:
                raise
            return self._refusal(error, command)

    def _refusal(self, error: ServiceError, command: Command) -> Answer:
        intent = self._find_intent(command)
        return error_answer(error, self._show(intent) if intent else None)

    def _act(self, command: Command, plan: Plan) -> Answer:
        match command:
            case Initiate() | Update() | Cancel():
                return self._managed(command, plan)
            case Authorize():
                delta = _ledger_delta(plan.wire)
                return self._authorized(self.intents.authorize(command, effect=plan.act, amount_delta=delta))
            case Capture() | Refund():
                return self._moved(self._move(command, plan))
            case Retrieve():
                return self._retrieved(command)
            case (
                CreateCustomer()
                | FindCustomers()
                | ListMethods()
                | SetUp()
                | RemoveMethod()
                | DeleteCustomer()
            ):
                _refuse_if_declined(command, plan.act)
                return self._about_customer(command)
        assert_never(command)

    def _about_customer(self, command: AccountCommand) -> Answer:
        match command:
            case CreateCustomer():
                return Answer.of_json(self.customers.create(command).as_json(), HTTPStatus.CREATED)
            case FindCustomers():
                return _listed([each.as_json() for each in self.customers.find(reference=command.reference)])
            case ListMethods():
                return _listed([each.as_json() for each in self.customers.methods(command.customer)])
            case SetUp():
                setup = self.customers.set_up(command).as_json(self.settings.base_url)
                return Answer.of_json(setup, HTTPStatus.CREATED)
            case RemoveMethod():
                return Answer.of_json(self.customers.remove(command.customer, command.method).as_json())
            case DeleteCustomer():
                return Answer.of_json(self.customers.delete(command.customer).as_json())
        assert_never(command)

    def _managed(self, command: Initiate | Update | Cancel, plan: Plan) -> Answer:
        delta = _ledger_delta(plan.wire)
        if isinstance(command, Initiate):
            _refuse_if_declined(command, plan.act)
            if command.customer is not None:
                self.customers.get(command.customer)
            intent = self.intents.create(command, amount=max(1, command.amount + delta))
            return Answer.of_json(self._show(intent), HTTPStatus.CREATED)
        self.intents.get(command.intent)
        _refuse_if_declined(command, plan.act)
        if isinstance(command, Cancel):
            return Answer.of_json(self._show(self.intents.cancel(command.intent)))
        amount = None if command.amount is None else max(1, command.amount + delta)
        return Answer.of_json(self._show(self.intents.update(command, amount=amount)))

    def _move(self, command: Capture | Refund, plan: Plan) -> Movement:
        amount = max(1, command.amount + _ledger_delta(plan.wire))
        reference, effect = command.reference, plan.act
        if isinstance(command, Capture):
            return self.movements.capture(command.intent, amount, reference=reference, effect=effect)
        return self.movements.refund(
            command.intent, amount, reference=reference, reason=command.reason, effect=effect
        )

    def _authorized(self, intent: Intent) -> Answer:
        if intent.status is IntentStatus.DECLINED and intent.decline:
            error = RefusedError(intent.decline.code, intent.decline.message)
            return error_answer(error, self._show(intent))
        return Answer.of_json(self._show(intent))

    def _moved(self, movement: Movement) -> Answer:
        if movement.status is MovementStatus.FAILED and movement.failure:
            error = RefusedError(movement.failure.code, movement.failure.message)
            return error_answer(error, self._show(self.intents.get(movement.intent)))
        return Answer.of_json(movement.as_json(), HTTPStatus.CREATED)

    def _retrieved(self, command: Retrieve) -> Answer:
        if command.intent is not None:
            return Answer.of_json(self._show(self.intents.get(command.intent)))
        return _listed([self._show(intent) for intent in self.intents.find(reference=command.reference)])

    def _show(self, intent: Intent) -> Json:
        return intent.as_json(self.settings.base_url)


def _parse(request: Request, body: Json) -> Command:
    parts = request.path.strip("/").split("/")[1:]
    match (request.method, parts):
        case ("POST", ["intents"]):
            return Initiate.parse(body)
        case ("GET", ["intents"]):
            params = Params(request.query, "reference")
            return Retrieve(reference=params.text("reference"))
        case ("GET", ["intents", intent]):
            Params(request.query)
            return Retrieve(intent=intent)
        case ("POST", ["intents", intent]):
            return PARSERS[""](intent, body)
        case ("POST", ["intents", intent, act]) if act in PARSERS and act:
            return PARSERS[act](intent, body)
        case (_, ["customers", *rest]):
            return _parse_account(request, rest, body)
    raise NotFoundError("not_found", "There is no such address.")


def _parse_account(request: Request, parts: list[str], body: Json) -> Command:
    match (request.method, parts):
        case ("POST", []):
            return CreateCustomer.parse(body)
        case ("GET", []):
            return FindCustomers(reference=Params(request.query, "reference").text("reference"))
        case ("GET", [customer, "methods"]):
            Params(request.query)
            return ListMethods(customer=customer)
        case ("POST", [customer, "setups"]):
            return SetUp.parse(customer, body)
        case ("POST", [customer, "methods", method, "remove"]):
            Params(body)
            return RemoveMethod(customer=customer, method=method)
        case ("POST", [customer, "delete"]):
            Params(body)
            return DeleteCustomer(customer=customer)
    raise NotFoundError("not_found", "There is no such address.")


def _listed(found: list[Json]) -> Answer:
    return Answer.of_json({"object": "list", "data": found})


def _refuse_if_declined(command: Command, effect: Effect | None) -> None:
    if effect is not None and effect.fault is Fault.DECLINE:
        operation = command.operation
        raise RefusedError(
            effect.code or f"{operation}_declined", effect.message or f"The {operation} was declined."
        )


def _ledger_delta(effect: Effect | None) -> int:
    lies_in_ledger = effect is not None and effect.fault is Fault.WRONG_AMOUNT and effect.in_ledger
    return effect.delta if effect is not None and lies_in_ledger else 0


def _distort(effect: Effect | None, answer: Answer) -> Answer:
    if effect is None:
        return answer
    if effect.fault is Fault.STICKY_500:
        return _INTERNAL_ERROR
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        return answer
    if effect.fault is Fault.WRONG_AMOUNT and not effect.in_ledger:
        return _retell(answer, lambda shown: _add_to_amounts(shown, effect.delta))
    if effect.fault is Fault.WRONG_CURRENCY:
        return _retell(answer, lambda shown: _swap_currency(shown, effect.currency))
    return answer


def _retell(answer: Answer, lie: Callable[[Json], None]) -> Answer:
    body = json.loads(answer.body)
    for shown in body["data"] if body["object"] == "list" else [body]:
        lie(shown)
    return replace(answer, body=json.dumps(body).encode())


def _add_to_amounts(shown: Json, delta: int) -> None:
    for name in ("amount", "amount_authorized", "amount_captured", "amount_refunded", "amount_canceled"):
        if shown.get(name):
            shown[name] += delta


def _swap_currency(shown: Json, currency: str | None) -> None:
    if "currency" not in shown:
        return
    shown["currency"] = currency or ("eur" if shown["currency"] == "usd" else "usd")


def _rate_limited(effect: Effect) -> Answer:
    error = {"code": "rate_limited", "message": "Too many requests. Try again later."}
    return Answer.of_json(
        {"error": error}, HTTPStatus.TOO_MANY_REQUESTS, retry_after=str(int(effect.seconds))
    )
