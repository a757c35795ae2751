"""The query parameters and headers that requests may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.db import models

from payments.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from payments.api.staff.filters import MAX_VALUES
from payments.services.idempotency import MAX_KEY


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """Say what a query parameter or a header may be; one that is `many` may be there several times."""

    name: str
    description: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    location: str = "query"
    many: bool = False

    def describe(self) -> dict[str, Any]:
        """Return the parameter as OpenAPI has it."""
        many = {"type": "array", "items": self.schema, "maxItems": MAX_VALUES}
        schema = many if self.many else self.schema
        return {"in": self.location, "name": self.name, "description": self.description, "schema": schema}


IDEMPOTENCY_KEY: Final = Parameter(
    location="header",
    name="Idempotency-Key",
    description="Repeating a request under the same key gives the same answer, and does nothing again. Keys are yours "
    "to choose, such as a UUID for each button that is pressed, and are kept for 72 hours.",
    schema={"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": r"^[ -~]*$"},
)

OPENING_KEY: Final = replace(
    IDEMPOTENCY_KEY,
    description="For customers who are logged in, as everywhere. A guest's key is not kept: opening is repeated by "
    "its `reference`, for which there is one open collection, however often it is asked for.",
)

_MOMENT: Final = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$",
    "examples": ["2026-11-24", "2026-11-24T09:30:00Z"],
}
_AMOUNT: Final = {"type": "string", "pattern": r"^[0-9]{1,14}(\.[0-9]{1,4})?$", "examples": ["10.00"]}

_KNOWN: Final = {
    parameter.name: parameter
    for parameter in (
        Parameter(name="provider", description="The id of the provider.", many=True),
        Parameter(
            name="provider_reference",
            description="The provider's own id of the session or payment.",
            many=True,
        ),
        Parameter(name="currency_code", description="An ISO 4217 code, in any case.", many=True),
        Parameter(
            name="payable",
            description="What is paid: the model and the key of a row, such as `shop.order:12`.",
            many=True,
        ),
        Parameter(name="customer", description="The key of a user.", many=True),
        Parameter(name="payment_collection", description="The id of a collection.", many=True),
        Parameter(name="payment_session", description="The id of a session.", many=True),
        Parameter(name="payment", description="The id of a payment.", many=True),
        Parameter(name="type", description="The type of the event, in the provider's words.", many=True),
        Parameter(name="event_id", description="The provider's own id of the event.", many=True),
        Parameter(name="amount", description="Exactly this amount.", schema=_AMOUNT, many=True),
        Parameter(name="amount_gte", description="At least this amount.", schema=_AMOUNT),
        Parameter(name="amount_lte", description="At most this amount.", schema=_AMOUNT),
        Parameter(name="created_at_gte", description="Created at this moment, or later.", schema=_MOMENT),
        Parameter(name="created_at_lt", description="Created before this moment.", schema=_MOMENT),
    )
}
_CURSOR: Final = Parameter(
    name="cursor", description="Where the page starts: taken from `next` or `previous`."
)
_LIMIT: Final = Parameter(
    name="limit",
    description="How many rows make a page.",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)
_SEARCH: Final = Parameter(
    name="q",
    description="An id of the row or of a related one, of which the beginning is enough, a provider's reference, or a "
    "piece of the customer's name or e-mail address; each as far as its asker may view what it goes by.",
    schema={"type": "string", "maxLength": 255},
)


def list_parameters(view: Any, **words: type[models.TextChoices]) -> tuple[Parameter, ...]:
    """Return the parameters of a list, from the conditions that its view has; `words` are those with a closed list."""
    closed = tuple(
        Parameter(
            name=name,
            description="One of these words.",
            schema={"type": "string", "enum": list(choices.values)},
            many=True,
        )
        for name, choices in words.items()
    )
    filters = tuple(_KNOWN[name] for name in view.conditions if name not in words)
    return (*closed, *filters, _SEARCH, _order(view.orders), _CURSOR, _LIMIT)


def _order(choices: Sequence[str]) -> Parameter:
    return Parameter(
        name="order",
        description="What the rows are sorted by; with a minus, the other way round.",
        schema={"type": "string", "enum": list(choices), "default": choices[0]},
    )
