"""What the document says of health and metrics."""

from __future__ import annotations

from typing import Any, Final

from docs.openapi import examples
from docs.openapi.operations import Answer, Operation
from payments.api import health

_FIGURES: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "oldest_unresolved_operation_seconds": {"type": "object", "additionalProperties": {"type": "number"}},
        "inbox_lag_seconds": {"type": "number"},
        "outbox_lag_seconds": {"type": "number"},
        "attention_count": {"type": "integer"},
        "failed_event_count": {"type": "integer"},
    },
    "required": list(examples.FIGURES),
}
_HEALTH: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["ok"]}, "figures": _FIGURES},
    "required": ["status"],
}
_READER: Final[tuple[dict[str, list[str]], ...]] = ({"metricsToken": []}, {"session": []})

OPERATIONS: Final = (
    Operation(
        view=health.HealthView,
        method="GET",
        name="get_health",
        tag="monitoring",
        security=({}, *_READER),
        answers={
            200: Answer(
                schema=_HEALTH,
                description="Requests can be served; `figures` only for who may see them.",
                example={"status": "ok", "figures": examples.FIGURES},
            )
        },
    ),
    Operation(
        view=health.MetricsView,
        method="GET",
        name="get_metrics",
        tag="monitoring",
        security=_READER,
        answers={
            200: Answer(
                schema={"type": "string"},
                description="The figures as gauges.",
                example="# TYPE payments_attention_count gauge\npayments_attention_count 0\n",
            )
        },
    ),
)
