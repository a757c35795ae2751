"""Turning views into operations of the document: what the package tells any project of them, and the tables' words."""

from __future__ import annotations

from typing import Any, Final

from docs.openapi import monitoring, staff, storefront
from docs.openapi.errors import error_reference
from docs.openapi.operations import Operation
from payments.api.openapi import HEADERS, IDEMPOTENCY_KEY, PaymentsSchema
from payments.api.serializers import InputSerializer
from payments.api.staff import payments as staff_payments
from payments.api.staff import refund_reasons

OPERATIONS: Final[dict[tuple[type, str], Operation]] = {
    (operation.view, operation.method): operation
    for operation in (*storefront.OPERATIONS, *staff.OPERATIONS, *monitoring.OPERATIONS)
}

_WITHOUT_PREFIX: Final = (
    staff_payments.PaymentSerializer,
    staff_payments.CaptureSerializer,
    staff_payments.RefundSerializer,
    refund_reasons.RefundReasonSerializer,
)
"""What only operators see needs no word that says so."""

_FULL_NAMES: Final = {
    "Session": "PaymentSession",
    "Collection": "PaymentCollection",
    "Provider": "PaymentProvider",
}


class DocumentSchema(PaymentsSchema):
    """One method of one view, with what its entry in the tables has to say."""

    prefix = ""
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}

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
        """Return the name in words."""
        return self.entry.name.removeprefix("staff_").replace("_", " ").capitalize()

    def get_auth(self) -> list[Any]:
        """Return the ways in which one may be recognized."""
        return [dict(way) for way in self.entry.security]

    def get_serializer_name(self, serializer: Any, direction: str) -> str:
        """Return a name that tells what operators see from what payers see."""
        name = type(serializer).__name__.removesuffix("Serializer")
        name = _FULL_NAMES.get(name, name)
        is_staffs = ".staff." in type(serializer).__module__
        if isinstance(serializer, InputSerializer) or not is_staffs or type(serializer) in _WITHOUT_PREFIX:
            return name
        return f"Staff{name}"

    def answer_schema(self, status: int) -> dict[str, Any] | None:
        """Return the schema of an answer, with what stands beside its row."""
        answer = self.entry.answers[status]
        if answer.schema is not None:
            return dict(answer.schema)
        if answer.row is None:
            return super().answer_schema(status)
        row = self.resolve_serializer(answer.row(), "response")
        extra = {"type": "object", "properties": dict(answer.extra), "required": list(answer.extra)}
        return {"allOf": [row.ref, extra]}

    def error_answer(self, status: int) -> dict[str, Any]:
        """Return the reference to the answer that an error is."""
        return dict(error_reference(status))

    def answer(self, status: int) -> dict[str, Any]:
        """Return an answer in the table's words, with one example for each operation: others would only repeat it."""
        answer, words = super().answer(status), self.entry.answers[status]
        if status == min(self.entry.answers):
            for media in answer.get("content", {}).values():
                media["examples"] = {self.entry.name: {"value": words.example}}
        return answer | {"description": words.description}

    def _get_parameters(self) -> list[Any]:
        parameters = super()._get_parameters()
        if self.entry.key_description is None:
            return parameters
        return [
            parameter | {"description": self.entry.key_description}
            if parameter["name"] == IDEMPOTENCY_KEY["name"]
            else parameter
            for parameter in parameters
        ]

    def _get_request_body(self, direction: str = "request") -> Any:
        body = super()._get_request_body(direction)
        if body is not None:
            has_nothing = self.method not in self.view.bodies
            name, example = ("nothing", {}) if has_nothing else (self.entry.name, self.entry.example)
            body["content"]["application/json"]["examples"] = {name: {"value": example}}
        return body
