"""The fake's books: every object that it has made, and the events that tell of them. Amounts are exact decimals."""

from __future__ import annotations

import copy
import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from tests.fakes import Json
from tests.paypal.fake.wire import ApiError

ZERO: Final = Decimal(0)

_LETTERS: Final = string.ascii_uppercase + string.digits
_WHOLE: Final = frozenset({"HUF", "JPY", "TWD"})
_CODES: Final = "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD ILS INR MXN MYR NOK NZD PHP PLN RUB SEK SGD THB USD"
_DECIMAL: Final = frozenset(_CODES.split())


@dataclass(kw_only=True)
class Row:
    """Hold one of PayPal's objects; `data` is what PayPal shows of it besides its amount."""

    id: str
    kind: str
    amount: Decimal
    currency: str
    status: str
    data: Json = field(default_factory=dict)
    parent: str | None = None

    def shown(self) -> Json:
        """Return it as PayPal shows it."""
        return {
            "id": self.id,
            "status": self.status,
            "amount": {"currency_code": self.currency, "value": spelled(self.amount, self.currency)},
            **copy.deepcopy(self.data),
        }


@dataclass(kw_only=True)
class Books:
    """Hold one account's objects by id, in the order in which they were made."""

    rows: dict[str, Row] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)

    def add(self, kind: str, *, amount: Decimal, currency: str, status: str, **values: Any) -> Row:
        """Make an object."""
        parent = values.pop("parent", None)
        row = Row(
            id="".join(secrets.choice(_LETTERS) for _ in range(17)),
            kind=kind,
            amount=amount,
            currency=currency,
            status=status,
            data={"create_time": now(), "update_time": now(), **values},
            parent=parent,
        )
        self.rows[row.id] = row
        return row

    def get(self, row_id: str, kind: str) -> Row:
        """Return an object, or refuse as PayPal does."""
        row = self.rows.get(row_id)
        if row is None or row.kind != kind:
            raise ApiError("INVALID_RESOURCE_ID", status=404)
        return row

    def all(self, kind: str, *, parent: str | None = None) -> list[Row]:
        """Return the objects of a kind, or those made from another, oldest first."""
        rows = [row for row in self.rows.values() if row.kind == kind]
        return [row for row in rows if parent is None or row.parent == parent]

    def emit(self, event_type: str, resource_type: str, resource: Json) -> None:
        """Note an event, with the object as it is now."""
        event_id = f"WH-{secrets.token_hex(8).upper()}-{secrets.token_hex(8).upper()}"
        self.events.append(
            {
                "id": event_id,
                "event_version": "1.0",
                "create_time": now(),
                "resource_type": resource_type,
                "resource_version": "2.0",
                "event_type": event_type,
                "summary": "Something has happened.",
                "resource": copy.deepcopy(resource),
                "links": [],
            }
        )


def now() -> str:
    """Return the time as PayPal writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def spelled(amount: Decimal, currency: str) -> str:
    """Return an amount as PayPal spells it."""
    return f"{amount:.0f}" if currency in _WHOLE else f"{amount:.2f}"


def amount_of(money: Json) -> tuple[Decimal, str]:
    """Return an amount and its currency; refuse what can't be one."""
    currency, value = money["currency_code"], money["value"]
    if currency not in _WHOLE | _DECIMAL:
        raise ApiError("CURRENCY_NOT_SUPPORTED")
    whole, point, decimals = value.partition(".")
    if not (whole.isascii() and whole.isdigit()) or (point and not decimals.isdigit()):
        raise ApiError("INVALID_PARAMETER_SYNTAX", status=400)
    if point and currency in _WHOLE:
        raise ApiError("DECIMALS_NOT_SUPPORTED")
    if len(decimals) > 2:
        raise ApiError("DECIMAL_PRECISION")
    if not Decimal(value):
        raise ApiError("CANNOT_BE_ZERO_OR_NEGATIVE")
    return Decimal(value), currency
