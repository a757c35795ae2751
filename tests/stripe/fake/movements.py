"""Refunds and disputes."""

from __future__ import annotations

import secrets

from tests.fakes import Json
from tests.stripe.fake.amounts import check_units
from tests.stripe.fake.books import Books
from tests.stripe.fake.wire import ApiError, require


class Movements:
    """Give money back, and have banks take it back."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def refund(self, params: Json) -> Json:
        """Give back a part of what was captured, or all that is left of it."""
        require(params, "payment_intent")
        intent = self._books.get(params["payment_intent"], "payment_intent", param="payment_intent")
        if not intent["amount_received"]:
            raise ApiError(
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                param="payment_intent",
            )
        charge = self._books.objects[intent["latest_charge"]]
        left = intent["amount_received"] - self.refunded(intent)
        units = params.get("amount", left)
        self._check_refund(charge, units, left)
        status = charge["fake_refund_status"]
        refund = self._books.add(
            "re",
            "refund",
            amount=units,
            balance_transaction=None if status == "pending" else f"txn_{secrets.token_hex(12)}",
            charge=charge["id"],
            currency=charge["currency"],
            failure_reason=None,
            metadata=dict(params.get("metadata", {})),
            payment_intent=intent["id"],
            reason=params.get("reason"),
            status=status,
        )
        charge["amount_refunded"] += units
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self._books.emit("charge.refunded", charge)
        self._books.emit("refund.created", refund)
        return dict(refund)

    def settle_refund(self, refund_id: str, *, succeeds: bool) -> Json:
        """End a pending refund, or have one fail that had succeeded."""
        refund = self._books.get(refund_id, "refund", param="refund")
        if succeeds:
            refund.update(status="succeeded", balance_transaction=f"txn_{secrets.token_hex(12)}")
            self._books.emit("refund.updated", refund)
        else:
            refund.update(status="failed", failure_reason="expired_or_canceled_card")
            self._books.objects[refund["charge"]]["amount_refunded"] -= refund["amount"]
            self._books.emit("refund.failed", refund)
            self._books.emit("charge.refund.updated", refund)
        return dict(refund)

    def dispute(self, intent_id: str, *, amount: int, status: str = "needs_response") -> Json:
        """Have the payer's bank take money back, or at least ask about it."""
        intent = self._books.get(intent_id, "payment_intent", param="payment_intent")
        charge = self._books.objects[intent["latest_charge"]]
        dispute = self._books.add(
            "du",
            "dispute",
            amount=amount,
            charge=charge["id"],
            currency=charge["currency"],
            payment_intent=intent_id,
            reason="fraudulent",
            status=status,
        )
        charge["disputed"] = True
        self._books.emit("charge.dispute.created", dispute)
        return dict(dispute)

    def close_dispute(self, dispute_id: str, *, status: str) -> None:
        """Have the bank decide."""
        dispute = self._books.get(dispute_id, "dispute", param="dispute")
        dispute["status"] = status
        self._books.emit("charge.dispute.closed", dispute)

    def refunded(self, intent: Json) -> int:
        """Return how much was given back, or is on its way, without what was only let go of."""
        rows = self._books.all("refund", payment_intent=intent["id"])
        own = [row for row in rows if row["balance_transaction"] or row["status"] == "pending"]
        return sum(row["amount"] for row in own if row["status"] in ("pending", "succeeded"))

    def _check_refund(self, charge: Json, units: int, left: int) -> None:
        if charge["disputed"]:
            raise ApiError(f"Charge {charge['id']} has been charged back.", code="charge_disputed")
        if not left:
            raise ApiError(
                f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
            )
        if units < 1:
            raise ApiError("Invalid positive integer", code="parameter_invalid_integer", param="amount")
        if units > left:
            raise ApiError(
                f"Refund amount ({units}) is greater than unrefunded amount on charge ({left})",
                param="amount",
            )
        check_units(units, charge["currency"])
