"""Our addresses in the document of a project that has drf-spectacular: what the views declare, in its terms."""

from __future__ import annotations

from copy import deepcopy
from http import HTTPStatus
from typing import Any, Final

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.settings import spectacular_settings

from payments.api.errors import ERROR_SCHEMA, ERROR_TYPES
from payments.api.health import FiguresView, HealthView, MetricsView
from payments.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from payments.api.parsers import READ
from payments.api.serializers import DescribedField, InputSerializer
from payments.api.staff.filters import MAX_SEARCH, MAX_VALUES, OneOf
from payments.api.staff.views import ListMixin
from payments.api.storefront.access import HEADER, StorefrontView
from payments.api.views import PaymentsView
from payments.services.idempotency import MAX_KEY
from payments.states import EventSource

Schema = dict[str, Any]

STRING: Final[Schema] = {"type": "string"}
IDEMPOTENCY_KEY: Final[Schema] = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "Repeating a request under the same key gives the same answer, and does nothing again. Keys are "
    "yours to choose, such as a UUID for each button that is pressed, and are kept for 72 hours.",
    "schema": STRING | {"minLength": 1, "maxLength": MAX_KEY, "pattern": r"^[ -~]*$"},
}
HEADERS: Final[dict[str, Schema]] = {
    "Idempotent-Replayed": {
        "description": "There, and `true`, where the answer is that of an earlier request with the same key.",
        "schema": STRING | {"enum": ["true"]},
    },
    "Location": {
        "description": "Where to look for what has become of it: of the session, or for operators of the operation.",
        "schema": STRING | {"format": "uri-reference"},
    },
    "Retry-After": {
        "description": "In how many seconds asking again makes sense.",
        "schema": {"type": "integer", "minimum": 1},
    },
}

_FORMS: Final[dict[str, Schema]] = {
    "amount": {"pattern": r"^[0-9]{1,14}(\.[0-9]{1,4})?$", "examples": ["10.00"]},
    "created": {
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
        r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$",
        "examples": ["2026-11-24", "2026-11-24T09:30:00Z"],
    },
}
_PARAMETERS: Final = {
    "provider": "The id of the provider.",
    "provider_reference": "The provider's own id of the session or payment.",
    "currency_code": "An ISO 4217 code, in any case.",
    "payable": "What is paid: the model and the key of a row, such as `shop.order:12`.",
    "customer": "The key of a user.",
    "payment_collection": "The id of a collection.",
    "payment_session": "The id of a session.",
    "payment": "The id of a payment.",
    "type": "The type of the event, in the provider's words.",
    "event_id": "The provider's own id of the event.",
    "amount": "Exactly this amount.",
    "amount_gte": "At least this amount.",
    "amount_lte": "At most this amount.",
    "created_at_gte": "Created at this moment, or later.",
    "created_at_lt": "Created before this moment.",
    "q": "An id of the row or of a related one, of which the beginning is enough, a provider's reference, or a piece "
    "of the customer's name or e-mail address; each as far as its asker may view what it goes by.",
    "order": "What the rows are sorted by; with a minus, the other way round.",
    "cursor": "Where the page starts: taken from `next` or `previous`.",
    "limit": "How many rows make a page.",
}


class PaymentsSchema(AutoSchema):
    """The description of one method of one of our views."""

    view: Any
    prefix = "Payments"  # for components, in a document that isn't ours alone
    headers = HEADERS

    def get_auth(self) -> list[Any]:
        """Return how the asker may be recognized: a payer also by a secret, or for what anybody may see not at all."""
        ways: list[Any] = list(super().get_auth())
        is_payers = isinstance(self.view, StorefrontView) and not self.view.permission_classes
        if is_payers and "{" in self.path:
            secret = {"type": "apiKey", "in": "header", "name": HEADER}
            self.register("paymentsClientSecret", secret, kind=ResolvedComponent.SECURITY_SCHEMA)
            return [{"paymentsClientSecret": []}, *ways]
        return [{}, *ways] if is_payers or isinstance(self.view, HealthView) else ways

    def get_serializer_name(self, serializer: Any, direction: str) -> str:
        """Return a name that no serializer of the project has, with the face that it is of."""
        face = type(serializer).__module__.split(".")[2].title()
        return f"{self.prefix}{face}{type(serializer).__name__.removesuffix('Serializer')}"

    def register(self, name: str, schema: Schema, *, kind: Any = ResolvedComponent.SCHEMA) -> Schema:
        """Put a component into the document once, and return the reference to it."""
        component = ResolvedComponent(name=name, type=kind, schema=_in_version(schema), object=name)
        self.registry.register_on_missing(component)
        return dict(component.ref)

    def error_statuses(self) -> set[int]:
        """Return the statuses of the errors that there may be."""
        view, reads = self.view, self.method in READ
        is_payers = isinstance(view, StorefrontView)
        may_ask = is_payers and self.method in view.calling_methods
        sets = (
            ({401, 422, 503}, True),
            ({400, 409, 411, 413, 415}, reads),
            ({400}, may_ask or isinstance(view, ListMixin)),
            ({402}, may_ask or HTTPStatus.ACCEPTED in self.statuses()),
            ({403}, self.method != "GET" if is_payers else bool(view.permission_classes)),
            ({404}, "{" in self.path),
            ({406}, not isinstance(view, FiguresView)),
            ({409}, not is_payers and self.method == "DELETE"),
            ({429}, is_payers),
            ({501}, is_payers and self.method == "POST" and "{" not in self.path),
        )
        return {status for statuses, are_expected in sets if are_expected for status in statuses}

    def answer_schema(self, status: int) -> Schema | None:
        """Return the schema of an answer that is no error."""
        if isinstance(self.view, FiguresView):
            return STRING if isinstance(self.view, MetricsView) else _whole({"status": STRING})
        row: Any = self.view.outputs.get(self.method) or getattr(self.view, "output", None)
        if self.method == "DELETE":
            return None
        component = self.resolve_serializer(row(), "response")
        if self._is_list_view():
            return self._rows(component)
        if status == HTTPStatus.ACCEPTED and self.view.source == EventSource.STAFF:
            told = STRING | {"description": "The operation that tells what becomes of it."}
            return {"allOf": [component.ref, _whole({"operation_id": told})]}
        return dict(component.ref)

    def error_answer(self, status: int) -> Schema:
        """Return the answer that an error is."""
        kind = self.register(f"{self.prefix}ErrorType", STRING | {"enum": sorted(ERROR_TYPES)})
        shape = ERROR_SCHEMA | {"properties": ERROR_SCHEMA["properties"] | {"type": kind}}
        error = self.register(f"{self.prefix}Error", shape)
        return self._response(status, "application/json", error)

    def answer(self, status: int) -> Schema:
        """Return an answer that is no error."""
        schema = self.answer_schema(status)
        media_type = "text/plain" if isinstance(self.view, MetricsView) else "application/json"
        return self._response(status, media_type, schema)

    def list_parameters(self) -> list[Schema]:
        """Return the query parameters of a list, from the conditions that its view has."""
        conditions, orders = self.view.conditions.items(), list(self.view.orders)
        words_first = sorted(conditions, key=lambda item: not isinstance(item[1], OneOf))
        schemas = {
            **{name: _filter(name, condition) for name, condition in words_first},
            "q": STRING | {"maxLength": MAX_SEARCH},
            "order": STRING | {"enum": orders, "default": orders[0]},
            "cursor": STRING,
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        }
        text = _PARAMETERS.get
        return [
            {"in": "query", "name": name, "description": text(name, "One of these words."), "schema": schema}
            for name, schema in schemas.items()
        ]

    def statuses(self) -> tuple[int, ...]:
        """Return the statuses of the answers that are no errors."""
        return tuple(self.view.statuses.get(self.method, (204 if self.method == "DELETE" else 200,)))

    def _is_list_view(self, serializer: Any = None) -> bool:
        return bool(self.view.is_list and self.method == "GET")

    def _get_format_parameters(self) -> list[Any]:
        return []  # which the project's URL_FORMAT_OVERRIDE would decide

    def _get_parameters(self) -> list[Any]:
        ours = self.list_parameters() if isinstance(self.view, ListMixin) and self.method == "GET" else []
        ours += [IDEMPOTENCY_KEY] if self.method == "POST" else []
        return [*super()._get_parameters(), *map(_in_version, ours)]

    def _get_request_body(self, direction: str = "request") -> Any:
        if self.method not in READ:
            return None
        if self.method not in self.view.bodies:
            return {"content": {"application/json": {"schema": {"type": "object", "maxProperties": 0}}}}
        serializer = self.view.bodies[self.method]()
        schema = self.resolve_serializer(serializer, "request").ref
        is_required = any(field.required for field in serializer.fields.values())
        required = {"required": True} if is_required else {}
        return {"content": {"application/json": {"schema": schema}}} | required

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        answers = {status: self.answer(status) for status in self.statuses()}
        answers |= {status: self.error_answer(status) for status in self.error_statuses()}
        return {str(status): answers[status] for status in sorted(answers)}

    def _response(self, status: int, media_type: str, schema: Schema | None) -> Schema:
        are_there = {
            "Idempotent-Replayed": self.method == "POST" and status < HTTPStatus.BAD_REQUEST,
            "Location": status == HTTPStatus.ACCEPTED,
            "Retry-After": status in (202, 409, 429, 503),
        }
        headers = {name: self.headers[name] for name, is_there in are_there.items() if is_there}
        content = {} if schema is None else {media_type: {"schema": _in_version(schema)}}
        response = {"description": HTTPStatus(status).phrase, "headers": headers, "content": content}
        return {name: value for name, value in response.items() if value}

    def _rows(self, row: Any) -> Schema:
        rows = {"results": {"type": "array", "items": row.ref}}
        if not isinstance(self.view, ListMixin):
            return self.register(f"{row.name}List", _whole(rows))
        link = {"type": ["string", "null"], "format": "uri", "description": "The address of that page."}
        return self.register(f"{row.name}Page", _whole({"next": link, "previous": link, **rows}))

    def _map_basic_serializer(self, serializer: Any, direction: str) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if isinstance(serializer, InputSerializer):
            schema["additionalProperties"] = False
        for name in getattr(serializer, "private", ()):
            schema["required"].remove(name)
        return schema


class DescribedFieldExtension(OpenApiSerializerFieldExtension):
    """The description of our own fields, which know it themselves."""

    target_class = "payments.api.serializers.DescribedField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> Any:
        """Return the field's description, or the reference to it."""
        field: DescribedField = self.target
        is_input = direction == "request"
        name, schema = field.name_in_document(is_input=is_input), field.describe(is_input=is_input)
        if name is None:
            return _in_version(schema)
        return auto_schema.register(f"{auto_schema.prefix}{name}", schema)


class PaymentsSessionScheme(SessionScheme):
    """The cookie of Django's session."""

    target_class = "payments.api.views.SessionAuthentication"
    name = "paymentsSession"


class MetricsTokenScheme(OpenApiAuthenticationExtension):
    """The bearer token of a monitoring system."""

    target_class = "payments.api.health.MetricsTokenAuthentication"
    name = "paymentsMetricsToken"

    def get_security_definition(self, auto_schema: Any) -> Schema:
        """Return the token."""
        return {"type": "http", "scheme": "bearer"}


def _whole(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _filter(name: str, condition: Any) -> Schema:
    """Return the schema of a filter; one that is no limit may be there several times."""
    words = {"enum": list(condition.choices.values)} if isinstance(condition, OneOf) else {}
    schema = STRING | words | _FORMS.get(name.partition("_")[0], {})
    is_limit = name.endswith(("_gte", "_lte", "_lt"))
    return schema if is_limit else {"type": "array", "items": schema, "maxItems": MAX_VALUES}


def _in_version(node: Any) -> Any:
    """Return a schema of OpenAPI 3.1 as the document's own version has it: 3.0 knows no list of types or examples."""
    if spectacular_settings.OAS_VERSION.startswith("3.1"):
        return deepcopy(node)
    if isinstance(node, list):
        return [_in_version(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    schema = {name: _in_version(inner) for name, inner in node.items()}
    if isinstance(schema.get("examples"), list):
        schema["example"] = schema.pop("examples")[0]
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema.pop("type") if kind != "null"]
        schema |= {"type": kinds[0]} if len(kinds) == 1 else {"anyOf": [{"type": kind} for kind in kinds]}
        schema |= {"nullable": True} if "null" in node["type"] else {}
    return schema


PaymentsView.schema = PaymentsSchema()
