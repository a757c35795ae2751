"""Orders: made, changed, approved by their payers, authorized or captured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from tests.fakes import Json
from tests.paypal.fake.books import Books, Row, amount_of
from tests.paypal.fake.parameters import MONEY
from tests.paypal.fake.wire import ApiError, checked

OPEN: Final = ("CREATED", "PAYER_ACTION_REQUIRED", "APPROVED")

_UNIT: Final = "/purchase_units/@reference_id=='default'/"
_TEXTS: Final = {"custom_id": 255, "description": 127, "invoice_id": 127, "soft_descriptor": 22}


class Funding(StrEnum):
    """Name what a payer pays with, by what becomes of it."""

    GOOD = "good"
    DECLINED = "declined"
    REFUSED = "refused"
    DENIED = "denied"
    IN_REVIEW = "in review"
    ECHECK = "echeck"
    CAPTURE_DECLINES = "capture declines"
    SLOW_REFUND = "slow refund"


class Orders:
    """Keep the orders of an account; `url` is where the fake is."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.url = ""

    def create(self, body: Json) -> Json:
        """Make an order, which its payer then has to approve."""
        if len(body["purchase_units"]) != 1:
            raise ApiError("INVALID_ARRAY_MAX_ITEMS", status=400, where="/purchase_units")
        [unit] = body["purchase_units"]
        amount, currency = amount_of(unit["amount"])
        has_source = "payment_source" in body
        order = self._books.add(
            "order",
            amount=amount,
            currency=currency,
            status="PAYER_ACTION_REQUIRED" if has_source else "CREATED",
            intent=body["intent"],
        )
        order.data["unit"] = {
            "reference_id": "default",
            **{name: unit[name] for name in _TEXTS if name in unit},
        }
        order.data["approval"] = "payer-action" if has_source else "approve"
        return self.shown(order)

    def retrieve(self, order_id: str) -> Json:
        """Show an order with all that became of it."""
        return self.shown(self._books.get(order_id, "order"))

    def patch(self, order_id: str, changes: list[Json]) -> Json:
        """Change an order that isn't completed."""
        order = self._books.get(order_id, "order")
        if order.status not in OPEN:
            raise ApiError("ORDER_ALREADY_COMPLETED")
        for change in changes:
            self._change(order, change)
        return {}

    def approve(self, order_id: str, funding: Funding = Funding.GOOD) -> None:
        """Be the payer who agrees, and chooses what to pay with."""
        order = self._books.get(order_id, "order")
        if order.status not in OPEN:
            raise ApiError("ORDER_ALREADY_COMPLETED")
        order.status = "APPROVED"
        order.data |= {"funding": funding, "approved": order.amount}
        self._books.emit("CHECKOUT.ORDER.APPROVED", "checkout-order", self.shown(order))

    def lapse(self, order_id: str) -> None:
        """Forget an order that nobody approved in time."""
        del self._books.rows[order_id]

    def authorize(self, order_id: str) -> Json:
        """Hold an approved order's amount."""
        order = self._payable(order_id, "AUTHORIZE")
        status = {Funding.DENIED: "DENIED", Funding.IN_REVIEW: "PENDING"}.get(
            order.data["funding"], "CREATED"
        )
        reason = {"status_details": {"reason": "PENDING_REVIEW"}} if status == "PENDING" else {}
        expires = datetime.now(UTC) + timedelta(days=29)
        authorization = self._books.add(
            "authorization",
            amount=order.amount,
            currency=order.currency,
            status=status,
            parent=order.id,
            expiration_time=expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            supplementary_data={"related_ids": {"order_id": order.id}},
            **_marks(order),
            **reason,
        )
        order.status = "COMPLETED"
        self._books.emit("PAYMENT.AUTHORIZATION.CREATED", "authorization", authorization.shown())
        return self.shown(order)

    def capture(self, order_id: str) -> Json:
        """Take an approved order's amount at once."""
        order = self._payable(order_id, "CAPTURE")
        funding = order.data["funding"]
        order.status = "COMPLETED"
        add_capture(
            self._books, order, order.amount, funding, parent=order.id, final_capture=True, **_marks(order)
        )
        return self.shown(order)

    def settle_authorization(self, order_id: str, *, accepts: bool) -> None:
        """End the review of an authorization."""
        [authorization] = self._books.all("authorization", parent=order_id)
        authorization.status = "CREATED" if accepts else "DENIED"
        authorization.data.pop("status_details", None)

    def shown(self, order: Row) -> Json:
        """Return an order as PayPal shows it, with its payments."""
        authorizations = self._books.all("authorization", parent=order.id)
        sources = [order.id, *(row.id for row in authorizations)]
        captures = [row for row in self._books.all("capture") if row.parent in sources]
        refunds = [row for row in self._books.all("refund") if row.parent in {each.id for each in captures}]
        rows = {"authorizations": authorizations, "captures": captures, "refunds": refunds}
        payments = {name: [row.shown() for row in each] for name, each in rows.items() if each}
        shown = order.shown()
        unit = {"amount": shown["amount"], **order.data["unit"]}
        return {
            "id": order.id,
            "intent": order.data["intent"],
            "status": order.status,
            "create_time": order.data["create_time"],
            "purchase_units": [unit | ({"payments": payments} if payments else {})],
            "links": [
                {"href": f"{self.url}/v2/checkout/orders/{order.id}", "rel": "self", "method": "GET"},
                {
                    "href": f"{self.url}/checkoutnow?token={order.id}",
                    "rel": order.data["approval"],
                    "method": "GET",
                },
            ],
        }

    def _change(self, order: Row, change: Json) -> None:
        name = change["path"].removeprefix(_UNIT)
        if change["op"] != "replace" or change["path"] != _UNIT + name or name not in ("amount", *_TEXTS):
            raise ApiError("NOT_PATCHABLE")
        if name == "amount":
            money = checked(change.get("value"), MONEY, where="/value")
            amount, currency = amount_of(money)
            if currency != order.currency:
                raise ApiError("CURRENCY_NOT_SUPPORTED")
            order.amount = amount
        else:
            order.data["unit"][name] = checked(change.get("value"), _TEXTS[name], where="/value")

    def _payable(self, order_id: str, intent: str) -> Row:
        order = self._books.get(order_id, "order")
        if order.data["intent"] != intent:
            raise ApiError("ACTION_DOES_NOT_MATCH_INTENT")
        if order.status == "COMPLETED":
            raise ApiError(f"ORDER_ALREADY_{intent}D")
        if order.status != "APPROVED":
            raise ApiError("ORDER_NOT_APPROVED")
        if order.amount > order.data["approved"] * Decimal("1.15"):
            raise ApiError("PAYER_ACTION_REQUIRED")
        if order.data["funding"] == Funding.DECLINED:
            raise ApiError("INSTRUMENT_DECLINED")
        if order.data["funding"] == Funding.REFUSED:
            raise ApiError("TRANSACTION_REFUSED")
        return order


def add_capture(
    books: Books, order: Row, amount: Decimal, funding: Funding, *, parent: str, **values: Any
) -> Row:
    """Make a capture; what the payer pays with says what becomes of it."""
    statuses = {Funding.ECHECK: "PENDING", Funding.CAPTURE_DECLINES: "DECLINED"}
    status = statuses.get(funding, "COMPLETED")
    if status == "PENDING":
        values["status_details"] = {"reason": "ECHECK"}
    capture = books.add(
        "capture",
        amount=amount,
        currency=order.currency,
        status=status,
        parent=parent,
        supplementary_data={"related_ids": {"order_id": order.id}},
        **values,
    )
    books.emit(f"PAYMENT.CAPTURE.{status}", "capture", capture.shown())
    return capture


def _marks(order: Row) -> Json:
    return {
        name: order.data["unit"][name] for name in ("custom_id", "invoice_id") if name in order.data["unit"]
    }
