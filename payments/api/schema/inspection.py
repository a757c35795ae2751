"""Turning views into operations of an OpenAPI document, with drf-spectacular's eyes for serializers only."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from payments.api.fields import DescribedField
from payments.api.schema import monitoring, staff, storefront
from payments.api.schema.errors import error_reference
from payments.api.schema.operations import Answer, Operation
from payments.api.serializers import InputSerializer
from payments.api.staff import movements, refund_reasons
from payments.api.staff import payments as staff_payments

OPERATIONS: Final[dict[tuple[type, str], Operation]] = {
    (operation.view, operation.method): operation
    for operation in (*storefront.OPERATIONS, *staff.OPERATIONS, *monitoring.OPERATIONS)
}

_WITHOUT_PREFIX: Final = (
    staff_payments.PaymentSerializer,
    movements.CaptureSerializer,
    movements.RefundSerializer,
    refund_reasons.RefundReasonSerializer,
)
"""What only operators see needs no word that says so."""

_ACCEPTED: Final = 202


class PaymentsSchema(AutoSchema):
    """Describe one method of one view, as its entry in the tables has it."""

    @property
    def entry(self) -> Operation:
        """The entry of this view and method; that there is none is an error of ours."""
        return OPERATIONS[type(self.view), self.method]

    def get_operation_id(self) -> str:
        """Return a name that other programs may build functions from."""
        return self.entry.name

    def get_tags(self) -> list[str]:
        """Return the face that the operation belongs to."""
        return [self.entry.tag]

    def get_summary(self) -> str:
        """Return what the view is for."""
        return str(type(self.view).__doc__ or "").partition(".")[0].strip()

    def get_auth(self) -> list[Any]:
        """Return the ways in which one may be recognized."""
        return [dict(way) for way in self.entry.security]

    def get_request_serializer(self) -> Any:
        """Return what the body may be; None where there is nothing to say."""
        return self.entry.body

    def get_response_serializers(self) -> Any:
        """Return nothing: `_get_response_bodies` knows."""
        return {}

    def get_serializer_name(self, serializer: Any, direction: str) -> str:
        """Return a name that tells what operators see from what payers see."""
        name = type(serializer).__name__.removesuffix("Serializer")
        is_staffs = ".staff." in type(serializer).__module__
        name = {
            "Session": "PaymentSession",
            "Collection": "PaymentCollection",
            "Provider": "PaymentProvider",
        }.get(name, name)
        if isinstance(serializer, InputSerializer) or not is_staffs or type(serializer) in _WITHOUT_PREFIX:
            return name
        return f"Staff{name}"

    def _get_format_parameters(self) -> list[Any]:
        return []  # which the project's URL_FORMAT_OVERRIDE would decide

    def _get_parameters(self) -> list[Any]:
        return [*super()._get_parameters(), *(parameter.describe() for parameter in self.entry.parameters)]

    def _get_request_body(self, direction: str = "request") -> Any:
        if self.method not in ("POST", "PUT", "PATCH"):
            return None
        if self.entry.body is None:
            schema: dict[str, Any] = {"type": "object", "maxProperties": 0}
            return {
                "content": {"application/json": {"schema": schema, "examples": {"nothing": {"value": {}}}}}
            }
        serializer = self.entry.body()
        schema = self.resolve_serializer(serializer, "request").ref
        is_required = any(field.required for field in serializer.fields.values())
        example = {"value": self.entry.example}
        content = {"application/json": {"schema": schema, "examples": {self.entry.name: example}}}
        return {"content": content} | ({"required": True} if is_required else {})

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        bodies = {status: self._body(status, answer) for status, answer in self.entry.answers.items()}
        bodies |= {status: error_reference(status) for status in self.entry.errors}
        return {str(status): bodies[status] for status in sorted(bodies)}

    def _body(self, status: int, answer: Answer) -> dict[str, Any]:
        body: dict[str, Any] = {"description": answer.description}
        names = ["Idempotent-Replayed"] if self.method == "POST" else []
        names += ["Location", "Retry-After"] if status == _ACCEPTED else []
        if names:
            body["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        schema = self._schema(answer)
        if schema is not None:
            body["content"] = {answer.media_type: {"schema": schema} | self._examples(status, answer)}
        return body

    def _examples(self, status: int, answer: Answer) -> dict[str, Any]:
        """Return one example for each operation: the others would only repeat it."""
        if status != min(self.entry.answers):
            return {}
        return {"examples": {self.entry.name: {"value": answer.example}}}

    def _schema(self, answer: Answer) -> Any:
        if answer.row is None:
            return answer.schema
        row = self.resolve_serializer(answer.row(), "response")
        if answer.extra:
            extra = {"type": "object", "properties": dict(answer.extra), "required": list(answer.extra)}
            return {"allOf": [row.ref, extra]}
        if answer.is_page:
            return self._component(f"{row.name}Page", _page(row.ref))
        if answer.is_list:
            return self._component(f"{row.name}List", _list(row.ref))
        return row.ref

    def _component(self, name: str, schema: dict[str, Any]) -> Any:
        return register(self.registry, name, schema)

    def _map_basic_serializer(self, serializer: Any, direction: str) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if isinstance(serializer, InputSerializer):
            schema["additionalProperties"] = False
        private = getattr(serializer, "private", ())
        if private:
            schema["required"] = [name for name in schema["required"] if name not in private]
        return schema


class DescribedFieldExtension(OpenApiSerializerFieldExtension):
    """Ask our own fields how they are described."""

    target_class = "payments.api.fields.DescribedField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> Any:
        """Return the field's description, or the reference to it."""
        field: DescribedField = self.target
        is_input = direction == "request"
        schema = field.describe(is_input=is_input)
        name = field.name_in_document(is_input=is_input)
        return schema if name is None else register(auto_schema.registry, name, schema)


def register(registry: Any, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Put a schema into the document once, and return the reference to it."""
    component = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=name)
    registry.register_on_missing(component)
    reference: dict[str, Any] = component.ref
    return reference


def _list(row: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"results": {"type": "array", "items": row}},
        "required": ["results"],
    }


def _page(row: Any) -> dict[str, Any]:
    link = {"type": ["string", "null"], "format": "uri", "description": "The address of that page."}
    return {
        "type": "object",
        "properties": {"next": link, "previous": link, "results": {"type": "array", "items": row}},
        "required": ["next", "previous", "results"],
    }
