"""Captures, voids, refunds and disputes."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from tests.fakes import Json
from tests.paypal.fake.books import ZERO, Books, Row, amount_of, now, spelled
from tests.paypal.fake.orders import Funding, add_capture
from tests.paypal.fake.wire import ApiError

OVERAGE: Final = Decimal("1.15")
"""PayPal lets a merchant take up to 115 percent of what is held, unless it is told otherwise."""

_DEAD: Final = {
    "VOIDED": "AUTHORIZATION_VOIDED",
    "EXPIRED": "AUTHORIZATION_EXPIRED",
    "DENIED": "AUTHORIZATION_DENIED",
    "CAPTURED": "AUTHORIZATION_ALREADY_CAPTURED",
}
_UNREFUNDABLE: Final = {
    "PENDING": "PENDING_CAPTURE",
    "DECLINED": "REFUND_NOT_ALLOWED",
    "REFUNDED": "CAPTURE_FULLY_REFUNDED",
}


class Movements:
    """Take money, let go of it, give it back, and have payers dispute it."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.url = ""
        self.max_captures = 10
        self.max_refunds = 300
        self.may_read_disputes = True
        self._renewals: dict[str, str] = {}
        self._dry: set[str] = set()
        self._unpayable: set[str] = set()

    def capture(self, authorization_id: str, body: Json) -> Json:
        """Take a part of what an authorization holds, or all of it."""
        authorization = self._books.get(authorization_id, "authorization")
        order = self._order_of(authorization)
        if authorization.status in _DEAD:
            raise ApiError(_DEAD[authorization.status])
        if authorization_id in self._dry:
            raise ApiError("PAYER_CANNOT_PAY")
        taken = self.captured(authorization)
        amount = self._amount(body, authorization, authorization.amount - taken)
        if taken + amount > authorization.amount * OVERAGE:
            raise ApiError("MAX_CAPTURE_AMOUNT_EXCEEDED")
        if len(self._books.all("capture", parent=authorization_id)) >= self.max_captures:
            raise ApiError("MAX_CAPTURE_COUNT_EXCEEDED")
        invoice_id = body.get("invoice_id", order.data["unit"].get("invoice_id"))
        self._refuse_duplicate(invoice_id)
        is_final = body.get("final_capture", False)
        capture = add_capture(
            self._books,
            order,
            amount,
            order.data["funding"],
            parent=authorization_id,
            final_capture=is_final,
            invoice_id=invoice_id,
            custom_id=order.data["unit"].get("custom_id"),
        )
        if capture.status != "DECLINED":
            is_over = is_final or taken + amount >= authorization.amount
            authorization.status = "CAPTURED" if is_over else "PARTIALLY_CAPTURED"
        return capture.shown()

    def void(self, authorization_id: str) -> Json:
        """Let go of what an authorization still holds, and with it what renews it."""
        authorization = self._books.get(authorization_id, "authorization")
        if authorization.status == "CAPTURED":
            raise ApiError("PREVIOUSLY_CAPTURED")
        if authorization.status == "VOIDED":
            raise ApiError("PREVIOUSLY_VOIDED")
        if authorization_id in self._renewals:
            raise ApiError("CANNOT_BE_VOIDED")
        if authorization.status in _DEAD:
            raise ApiError(_DEAD[authorization.status])
        for row_id in (authorization_id, *self._renewals):
            if self._renewals.get(row_id, authorization_id) == authorization_id:
                self._books.get(row_id, "authorization").status = "VOIDED"
        self._books.emit("PAYMENT.AUTHORIZATION.VOIDED", "authorization", authorization.shown())
        return authorization.shown()

    def reauthorize(self, authorization_id: str, *, accepts: bool = True) -> Row:
        """Renew an authorization from another program, after its honor period: the order then has two.

        What PayPal shows of the first one from then on it doesn't say, so here nothing changes about it.
        """
        first = self._books.get(authorization_id, "authorization")
        if authorization_id in self._renewals:
            raise ApiError("REAUTHORIZATION_NOT_SUPPORTED")
        if first.status in _DEAD:
            raise ApiError(_DEAD[first.status])
        renewal = self._books.add(
            "authorization",
            amount=first.amount,
            currency=first.currency,
            status="CREATED" if accepts else "DENIED",
            parent=first.parent,
            expiration_time=first.data["expiration_time"],
        )
        self._renewals[renewal.id] = authorization_id
        return renewal

    def expire(self, authorization_id: str) -> None:
        """Have an authorization's 29 days be over."""
        self._books.get(authorization_id, "authorization").status = "VOIDED"

    def run_dry(self, authorization_id: str, *, again: bool = False) -> None:
        """Have the honor period be over, and the payer's money be gone; or be there `again`."""
        (self._dry.discard if again else self._dry.add)(authorization_id)

    def settle_capture(self, capture_id: str, *, succeeds: bool) -> None:
        """End a pending capture."""
        capture = self._books.get(capture_id, "capture")
        capture.status = "COMPLETED" if succeeds else "DECLINED"
        capture.data.pop("status_details", None)
        self._books.emit(f"PAYMENT.CAPTURE.{capture.status}", "capture", capture.shown())

    def refund(self, capture_id: str, body: Json) -> Json:
        """Give back a part of a capture, or all that is left of it."""
        capture = self._books.get(capture_id, "capture")
        if capture.status in _UNREFUNDABLE:
            raise ApiError(_UNREFUNDABLE[capture.status])
        left = capture.amount - self.refunded(capture)
        amount = self._amount(body, capture, left)
        if amount > left:
            raise ApiError("REFUND_AMOUNT_EXCEEDED")
        if len(self._books.all("refund", parent=capture_id)) >= self.max_refunds:
            raise ApiError("MAX_NUMBER_OF_REFUNDS_EXCEEDED")
        if amount < capture.amount and self._is_disputed(capture):
            raise ApiError("CAPTURE_DISPUTED_PARTIAL_REFUND_NOT_ALLOWED")
        refund = self._add_refund(capture, amount, body)
        self._note_refunded(capture)
        self._books.emit("PAYMENT.CAPTURE.REFUNDED", "refund", refund.shown())
        return refund.shown()

    def refund_in_dashboard(self, capture_id: str, amount: str) -> Json:
        """Give back a part of a capture by hand: nothing but its link says what it is a refund of."""
        return self._refund_unmarked(capture_id, amount, "REFUNDED")

    def reverse(self, capture_id: str, amount: str) -> Json:
        """Have PayPal itself take money back from the merchant."""
        return self._refund_unmarked(capture_id, amount, "REVERSED")

    def settle_refund(self, refund_id: str, *, succeeds: bool) -> None:
        """End a pending refund."""
        refund = self._books.get(refund_id, "refund")
        refund.status = "COMPLETED" if succeeds else "FAILED"
        refund.data.pop("status_details", None)
        self._note_refunded(self._books.get(refund.parent or "", "capture"))
        if not succeeds:
            self._books.emit("PAYMENT.REFUND.FAILED", "refund", refund.shown())

    def refuse_payout(self, capture_id: str) -> None:
        """Have every further refund of a capture fail at once, which PayPal says of a refund that it has made."""
        self._unpayable.add(capture_id)

    def dispute(
        self, capture_id: str, *others: str, amount: str, stage: str = "CHARGEBACK", foreign: str = ""
    ) -> Row:
        """Have a payer dispute a capture, or several at once; `foreign` is the amount of a payment to another shop."""
        capture = self._books.get(capture_id, "capture")
        dispute = self._books.add(
            "dispute",
            amount=Decimal(amount),
            currency=capture.currency,
            status="WAITING_FOR_SELLER_RESPONSE",
            parent=capture_id,
            stage=stage,
            others=others,
            foreign=foreign,
        )
        self._books.emit("CUSTOMER.DISPUTE.CREATED", "dispute", self._shown_dispute(dispute))
        return dispute

    def resolve(self, dispute: Row, outcome_code: str, *, refunded: str | None = None) -> None:
        """Have PayPal decide a dispute; `refunded` is how much the payer gets, if not all."""
        dispute.status = "RESOLVED"
        dispute.data["update_time"] = now()
        dispute.data["refunded"] = refunded
        dispute.data["outcome"] = outcome_code
        self._books.emit("CUSTOMER.DISPUTE.RESOLVED", "dispute", self._shown_dispute(dispute))

    def list_disputes(self, capture_id: str) -> Json:
        """List the disputes about a capture, in short."""
        self._check_permission()
        rows = self._disputes_of(capture_id)
        return {"items": [{"dispute_id": row.id, "status": row.status} for row in rows], "links": []}

    def show_dispute(self, dispute_id: str) -> Json:
        """Show a dispute in full."""
        self._check_permission()
        return self._shown_dispute(self._books.get(dispute_id, "dispute"))

    def captured(self, source: Row) -> Decimal:
        """Return how much was taken of an authorization or an order, or is on its way."""
        rows = self._books.all("capture", parent=source.id)
        return sum((row.amount for row in rows if row.status != "DECLINED"), ZERO)

    def refunded(self, capture: Row) -> Decimal:
        """Return how much of a capture was given back, or is on its way."""
        rows = self._books.all("refund", parent=capture.id)
        return sum((row.amount for row in rows if row.status != "FAILED"), ZERO)

    def _refund_unmarked(self, capture_id: str, amount: str, event: str) -> Json:
        capture = self._books.get(capture_id, "capture")
        refund = self._add_refund(capture, Decimal(amount), {"custom_id": None, "invoice_id": None})
        for name in ("custom_id", "invoice_id"):
            del refund.data[name]
        self._note_refunded(capture)
        self._books.emit(f"PAYMENT.CAPTURE.{event}", "refund", refund.shown())
        return refund.shown()

    def _add_refund(self, capture: Row, amount: Decimal, body: Json) -> Row:
        funding = self._order_of(capture).data["funding"]
        is_slow = funding == Funding.SLOW_REFUND
        status = "FAILED" if capture.id in self._unpayable else "PENDING" if is_slow else "COMPLETED"
        up = {"href": f"{self.url}/v2/payments/captures/{capture.id}", "rel": "up", "method": "GET"}
        return self._books.add(
            "refund",
            amount=amount,
            currency=capture.currency,
            status=status,
            parent=capture.id,
            custom_id=body.get("custom_id", capture.data.get("custom_id")),
            invoice_id=body.get("invoice_id", capture.data.get("invoice_id")),
            links=[up],
            **({"status_details": {"reason": "ECHECK"}} if status == "PENDING" else {}),
        )

    def _note_refunded(self, capture: Row) -> None:
        refunded = self.refunded(capture)
        is_whole = refunded == capture.amount
        capture.status = "REFUNDED" if is_whole else "PARTIALLY_REFUNDED" if refunded else "COMPLETED"

    def _refuse_duplicate(self, invoice_id: str | None) -> None:
        rows = self._books.all("capture")
        taken = {row.data.get("invoice_id") for row in rows if row.status != "DECLINED"}
        if invoice_id is not None and invoice_id in taken:
            raise ApiError("DUPLICATE_INVOICE_ID")

    def _is_disputed(self, capture: Row) -> bool:
        return any(row.status != "RESOLVED" for row in self._disputes_of(capture.id))

    def _disputes_of(self, capture_id: str) -> list[Row]:
        rows = self._books.all("dispute")
        return [row for row in rows if capture_id in (row.parent, *row.data["others"])]

    def _shown_dispute(self, dispute: Row) -> Json:
        money = {
            "currency_code": dispute.currency,
            "value": spelled(dispute.amount, dispute.currency),
        }
        shown = {
            "dispute_id": dispute.id,
            "status": dispute.status,
            "create_time": dispute.data["create_time"],
            "update_time": dispute.data["update_time"],
            "dispute_amount": money,
            "dispute_life_cycle_stage": dispute.data["stage"],
            "disputed_transactions": self._disputed_transactions(dispute),
        }
        if "outcome" in dispute.data:
            refunded = (
                money if dispute.data["refunded"] is None else money | {"value": dispute.data["refunded"]}
            )
            shown["dispute_outcome"] = {"outcome_code": dispute.data["outcome"], "amount_refunded": refunded}
        return shown

    def _disputed_transactions(self, dispute: Row) -> list[Json]:
        captures = [self._books.rows[each] for each in (dispute.parent or "", *dispute.data["others"])]
        rows: list[Json] = [
            {
                "seller_transaction_id": row.id,
                "custom": row.data.get("custom_id"),
                "gross_amount": {"currency_code": row.currency, "value": spelled(row.amount, row.currency)},
            }
            for row in captures
        ]
        if dispute.data["foreign"]:
            gross = {"currency_code": dispute.currency, "value": dispute.data["foreign"]}
            foreign = {
                "seller_transaction_id": "2AB34567CD890123E",
                "custom": "cart-7",
                "gross_amount": gross,
            }
            rows.insert(0, foreign)
        return rows

    def _check_permission(self) -> None:
        if not self.may_read_disputes:
            raise ApiError("PERMISSION_DENIED", status=403)

    def _order_of(self, row: Row) -> Row:
        parent = self._books.rows[row.parent or ""]
        return parent if parent.kind == "order" else self._order_of(parent)

    def _amount(self, body: Json, source: Row, default: Decimal) -> Decimal:
        if "amount" not in body:
            return default
        amount, currency = amount_of(body["amount"])
        if currency != source.currency:
            raise ApiError("AUTH_CAPTURE_CURRENCY_MISMATCH")
        return amount
