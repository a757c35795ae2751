"""The control API, /_control: the engine over HTTP, for tests in another process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final

from payments.simulator.api import check_api_key, error_answer
from payments.simulator.commands import Params, decode_object
from payments.simulator.engine import Engine
from payments.simulator.errors import InvalidRequestError, NotFoundError, ServiceError
from payments.simulator.records import Intent, Movement
from payments.simulator.server import Answer, Json, Request

_ACTS: Final[dict[str, tuple[str, ...]]] = {
    "authorize": ("amount",),
    "decline": ("code", "message"),
    "capture": ("amount",),
    "refund": ("amount", "reason"),
    "chargeback": ("amount", "reason"),
    "cancel": (),
    "settle": (),
    "fail": ("code", "message"),
}
_OBJECTS: Final = ("intents", "captures", "refunds", "chargebacks")


class ControlApi:
    """The tester's side, /_control."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        try:
            check_api_key(request, self._engine.settings)
            parts = request.path.strip("/").split("/")[1:]
            if request.method == "GET":
                return Answer.of_json(self._look(parts, request.query))
            if request.method == "DELETE" and parts == ["scenarios"]:
                self._engine.clear_scenarios()
                return Answer.of_json(self._look(parts, {}))
            if request.method == "POST":
                return self._change(parts, decode_object(request.body))
            raise NotFoundError("not_found", "There is no such address.")
        except ServiceError as error:
            return error_answer(error)

    def _look(self, parts: list[str], query: Mapping[str, str]) -> Json:
        engine = self._engine
        match parts:
            case ["calls"]:
                Params(query, "operation", "reference", "intent", "key")
                return _listed([call.as_json() for call in engine.calls(**query)])
            case ["events"]:
                Params(query, "type", "reference", "intent")
                return _listed([event.as_json() for event in engine.events(**query)])
            case ["scenarios"]:
                return _listed([scenario.as_json() for scenario in engine.scenarios()])
            case ["totals"]:
                return asdict(engine.totals(Params(query, "reference").text("reference")))
            case ["webhooks" | "clock" as switch]:
                return self._webhooks() if switch == "webhooks" else self._clock()
        raise NotFoundError("not_found", "There is no such address.")

    def _change(self, parts: list[str], body: Json) -> Answer:
        match parts:
            case ["scenarios"]:
                return Answer.of_json(self._script(body), HTTPStatus.CREATED)
            case ["webhooks" | "clock" | "reset" as switch]:
                return Answer.of_json(self._switch(switch, body))
            case ["events", "release"]:
                return Answer.of_json(self._release(body))
            case ["events", event_id, "redeliver"]:
                times = Params(body, "times").optional_amount("times") or 1
                return Answer.of_json(self._engine.redeliver(event_id, times=times).as_json())
            case [objects, object_id, act] if objects in _OBJECTS and act in _ACTS:
                params = Params(body, *_ACTS[act])
                return Answer.of_json(self._act(object_id, act, params))
        raise NotFoundError("not_found", "There is no such address.")

    def _switch(self, switch: str, body: Json) -> Json:
        if switch == "webhooks":
            return self._set_webhooks(body)
        if switch == "clock":
            return self._set_clock(body)
        Params(body)
        self._engine.reset()
        return {}

    def _act(self, object_id: str, act: str, params: Params) -> Json:
        values: dict[str, Any] = {}
        for name in _ACTS[act]:
            if name in params:
                values[name] = params.amount() if name == "amount" else params.text(name)
        verb: Callable[..., Intent | Movement] = getattr(self._engine, act)
        result = verb(object_id, **values)
        if isinstance(result, Intent):
            return result.as_json(self._engine.settings.base_url)
        return result.as_json()

    def _script(self, body: Json) -> Json:
        options = dict(body)
        match_ = options.pop("match", {})
        if not isinstance(match_, dict):
            raise InvalidRequestError("invalid_parameter", "match must be an object.", param="match")
        about = Params(match_, "reference", "intent")
        for name in ("operation", "fault"):
            if not isinstance(options.get(name), str):
                raise InvalidRequestError("parameter_missing", f"{name} is required.", param=name)
        operation, fault = options.pop("operation"), options.pop("fault")
        times = options.pop("times", 1)
        for name in ("reference", "intent"):
            if name in options:
                raise InvalidRequestError("unknown_option", f"Put {name} into match.", param=name)
        return self._engine.script(
            operation=operation,
            fault=fault,
            times=times,
            reference=about.optional_text("reference"),
            intent=about.optional_text("intent"),
            **options,
        ).as_json()

    def _webhooks(self) -> Json:
        settings = self._engine.settings
        return {"url": settings.webhook_url, **asdict(settings.delivery)}

    def _set_webhooks(self, body: Json) -> Json:
        Params(body, "url", "secrets", "duplicate", "hold", "delay", "drop", "reorder")
        settings = self._engine.settings
        policy = {name: value for name, value in body.items() if name not in ("url", "secrets")}
        for name, value in policy.items():
            _check_switch(name, value)
        if "url" in body:
            settings.webhook_url = Params({"url": body["url"]}, "url").url("url")
        if "secrets" in body:
            settings.webhook_secrets = _secrets(body["secrets"])
        if policy or not body:
            self._engine.deliver(**policy)
        return self._webhooks()

    def _release(self, body: Json) -> Json:
        Params(body, "order", "reverse")
        order, reverse = body.get("order", []), body.get("reverse", False)
        if not isinstance(order, list) or not all(isinstance(each, str) for each in order):
            raise InvalidRequestError(
                "invalid_parameter", "order must be a list of event ids.", param="order"
            )
        released = self._engine.release(*order, reverse=bool(reverse))
        return _listed([event.as_json() for event in released])

    def _clock(self) -> Json:
        clock = self._engine.clock
        return {"offset": clock.offset, "now": clock.now()}

    def _set_clock(self, body: Json) -> Json:
        Params(body, "offset")
        offset = body.get("offset")
        if not isinstance(offset, int | float) or isinstance(offset, bool):
            raise InvalidRequestError(
                "invalid_parameter", "offset must be a number of seconds.", param="offset"
            )
        self._engine.set_clock(float(offset))
        return self._clock()


def _listed(items: list[Json]) -> Json:
    return {"object": "list", "data": items}


def _check_switch(name: str, value: Any) -> None:
    kinds = {"duplicate": (int,), "delay": (int, float)}.get(name, (bool,))
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise InvalidRequestError(
            "invalid_parameter", f"{name} must be of type {kinds[-1].__name__}.", param=name
        )


def _secrets(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        rule = "secrets must be a list of strings that are not empty."
        raise InvalidRequestError("invalid_parameter", rule, param="secrets")
    return tuple(value)
