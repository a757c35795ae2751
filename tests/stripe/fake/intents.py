"""PaymentIntents: made, changed, confirmed, captured and canceled."""

from __future__ import annotations

import copy
import secrets
import time
from typing import Any, Final

from tests.fakes import Json
from tests.stripe.fake.amounts import check_amount, check_units
from tests.stripe.fake.books import Books
from tests.stripe.fake.cards import CARDS, TOKENS, Card
from tests.stripe.fake.wire import ApiError, found_in, invalid, require

CHANGEABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE: Final = (*CHANGEABLE, "requires_capture")  # “in rare cases” also what is processing
WEEK: Final = 7 * 24 * 60 * 60


class Intents:
    """Keep the PaymentIntents of an account."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def create(self, params: Json) -> Json:
        """Make an intent, and confirm it at once if that was asked for."""
        require(params, "amount", "currency")
        check_amount(params["amount"], params["currency"])
        types = params.get("allowed_payment_method_types")
        automatic = params.get("automatic_payment_methods")
        if types and automatic:
            raise invalid(
                "You may only specify one of these parameters: automatic_payment_methods, "
                "allowed_payment_method_types.",
                code="parameters_exclusive",
            )
        if params.get("customer"):
            self._books.get(params["customer"], "customer", param="customer")
        intent = self._books.add(
            "pi",
            "payment_intent",
            amount=params["amount"],
            amount_capturable=0,
            amount_received=0,
            automatic_payment_methods=automatic,
            canceled_at=None,
            cancellation_reason=None,
            capture_method=params.get("capture_method", "automatic_async"),
            confirmation_method="automatic",
            currency=params["currency"],
            customer=params.get("customer"),
            description=params.get("description"),
            last_payment_error=None,
            latest_charge=None,
            metadata=dict(params.get("metadata", {})),
            next_action=None,
            payment_method=params.get("payment_method"),
            payment_method_options=params.get("payment_method_options", {}),
            payment_method_types=types or ["card"],
            processing=None,
            setup_future_usage=params.get("setup_future_usage"),
            statement_descriptor=params.get("statement_descriptor"),
            statement_descriptor_suffix=params.get("statement_descriptor_suffix"),
            status="requires_confirmation" if params.get("payment_method") else "requires_payment_method",
        )
        intent["client_secret"] = f"{intent['id']}_secret_{secrets.token_hex(12)}"
        self._books.emit("payment_intent.created", intent)
        if params.get("confirm"):
            return self.confirm(
                intent["id"], {k: v for k, v in params.items() if k in ("off_session", "return_url")}
            )
        return self._shown(intent, params)

    def retrieve(self, intent_id: str, params: Json) -> Json:
        """Show an intent."""
        return self._shown(self._get(intent_id), params)

    def search(self, params: Json) -> Json:
        """Find intents by one key of their metadata, which is all that is understood here."""
        require(params, "query")
        key, value = found_in(params["query"])
        rows = self._books.all("payment_intent") if self._books.is_searchable else []
        found = [row for row in rows if row["metadata"].get(key) == value]
        return {
            "object": "search_result",
            "url": "/v1/payment_intents/search",
            "data": [self._shown(row, {}) for row in found[: params.get("limit", 10)]],
            "has_more": False,
            "next_page": None,
        }

    def update(self, intent_id: str, params: Json) -> Json:
        """Change an intent that isn't authorized."""
        intent = self._get(intent_id)
        if "amount" in params:
            if intent["status"] not in CHANGEABLE:
                raise self._unexpected(
                    intent,
                    "This PaymentIntent's amount could not be updated because it has a status of "
                    f"{intent['status']}. You may only update the amount of a PaymentIntent with one of the following "
                    "statuses: requires_payment_method, requires_confirmation, requires_action.",
                )
            check_amount(params["amount"], intent["currency"])
            intent["amount"] = params["amount"]
        if "payment_method" in params:
            self._card(params["payment_method"])
            intent.update(payment_method=params["payment_method"], status="requires_confirmation")
        intent["metadata"].update(params.get("metadata", {}))
        return self._shown(intent, params)

    def confirm(self, intent_id: str, params: Json) -> Json:
        """Try to pay."""
        intent = self._get(intent_id)
        if intent["status"] not in CHANGEABLE:
            raise self._unexpected(
                intent,
                f"This PaymentIntent could not be confirmed because it has a status of {intent['status']}. Only a "
                f"PaymentIntent with one of the following statuses may be confirmed: {', '.join(CHANGEABLE)}.",
            )
        method = self._method(intent, params)
        card = self._card(method)
        self._check_owner(intent, method)
        intent.update(payment_method=method, next_action=None, last_payment_error=None)
        if "setup_future_usage" in params:
            intent["setup_future_usage"] = params["setup_future_usage"] or None
        if card.needs_authentication:
            return self._ask_for_authentication(intent, params)
        return self._attempt(intent, card, params)

    def authenticate(self, intent_id: str, *, succeeds: bool = True) -> Json:
        """Have the payer pass the bank's question, or fail it."""
        intent = self._get(intent_id)
        assert intent["status"] == "requires_action", intent["status"]
        intent["next_action"] = None
        if not succeeds:
            self._fail(
                intent, self._error("payment_intent_authentication_failure", None, "Authentication failed.")
            )
            return self._shown(intent, {})
        return self._attempt(intent, Card(), {})

    def settle(self, intent_id: str, *, succeeds: bool = True) -> Json:
        """End what is processing."""
        intent = self._get(intent_id)
        assert intent["status"] == "processing", intent["status"]
        if not succeeds:
            self._fail(intent, self._error("payment_method_provider_decline", None, "The bank refused."))
            return self._shown(intent, {})
        return self._charge(intent, Card(), {})

    def capture(self, intent_id: str, params: Json) -> Json:
        """Take what is held, or a part of it."""
        intent = self._get(intent_id)
        self._check_capturable(intent)
        charge = self._books.objects[intent["latest_charge"]]
        units: int = {"amount_to_capture": intent["amount_capturable"], **params}["amount_to_capture"]
        is_final = params.get("final_capture", True)
        self._check_capture(intent, charge, units, is_final=is_final)
        intent["amount_received"] += units
        intent["amount_capturable"] -= units
        charge.update(captured=True, amount_captured=intent["amount_received"], balance_transaction=_txn())
        intent["metadata"].update(params.get("metadata", {}))
        if is_final or not intent["amount_capturable"]:
            self._release(intent, charge)
            intent["status"] = "succeeded"
        self._books.emit("charge.captured", charge)
        if intent["status"] == "succeeded":
            self._books.emit("payment_intent.succeeded", intent)
        return self._shown(intent, params)

    def cancel(self, intent_id: str, params: Json) -> Json:
        """Give an intent up, and let go of what it holds."""
        intent = self._get(intent_id)
        if intent["status"] not in CANCELABLE or intent["amount_received"]:
            raise self._unexpected(
                intent,
                f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
                f"PaymentIntent with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.",
            )
        if intent["latest_charge"] and intent["amount_capturable"]:
            self._release(intent, self._books.objects[intent["latest_charge"]])
        intent.update(
            status="canceled",
            canceled_at=int(time.time()),
            cancellation_reason=params.get("cancellation_reason"),
            next_action=None,
        )
        self._books.emit("payment_intent.canceled", intent)
        return self._shown(intent, params)

    def _get(self, intent_id: str) -> Json:
        return self._books.get(intent_id, "payment_intent", param="intent")

    def _method(self, intent: Json, params: Json) -> str:
        token = params.get("confirmation_token")
        if token is not None and token not in TOKENS:
            raise ApiError(
                f"No such confirmation token: '{token}'",
                status=404,
                code="resource_missing",
                param="confirmation_token",
            )
        method: str | None = (
            TOKENS[token] if token else params.get("payment_method", intent["payment_method"])
        )
        if method is None:
            raise self._unexpected(
                intent, "You cannot confirm this PaymentIntent because it's missing a payment method."
            )
        return method

    def _card(self, method: str) -> Card:
        if method in CARDS:
            return CARDS[method]
        saved = self._books.get(method, "payment_method", param="payment_method")
        return CARDS[saved["fake_card"]]

    def _check_owner(self, intent: Json, method: str) -> None:
        """Refuse what another customer has saved, or nobody any more."""
        saved = self._books.objects.get(method, {})
        if saved.get("fake_is_detached"):
            raise ApiError(
                "The provided PaymentMethod was detached from a Customer. It may not be used again.",
                param="payment_method",
                payment_intent=self._shown(intent, {}),
            )
        owner = saved.get("customer")
        if owner is not None and owner != intent["customer"]:
            raise ApiError(
                f"The PaymentMethod {method} does not belong to the Customer you supplied {intent['customer']}.",
                param="payment_method",
                payment_intent=self._shown(intent, {}),
            )

    def _ask_for_authentication(self, intent: Json, params: Json) -> Json:
        if params.get("off_session"):
            error = self._error(
                "authentication_required", "authentication_required", "Your card was declined. This transaction "
                "requires authentication."
            )  # fmt: skip
            raise self._declined(intent, error)
        url = f"https://hooks.stripe.com/3d_secure_2/hosted?payment_intent={intent['id']}"
        action: Json = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
        if params.get("return_url"):
            redirect = {"return_url": params["return_url"], "url": url}
            action = {"type": "redirect_to_url", "redirect_to_url": redirect}
        intent.update(status="requires_action", next_action=action)
        self._books.emit("payment_intent.requires_action", intent)
        return self._shown(intent, params)

    def _attempt(self, intent: Json, card: Card, params: Json) -> Json:
        if card.code is not None:
            raise self._declined(
                intent, self._error(card.code, card.decline_code, card.message, card.advice_code)
            )
        if card.is_slow:
            intent["status"] = "processing"
            self._books.emit("payment_intent.processing", intent)
            return self._shown(intent, params)
        return self._charge(intent, card, params)

    def _charge(self, intent: Json, card: Card, params: Json) -> Json:
        is_manual = intent["capture_method"] == "manual"
        wants_more = intent["payment_method_options"].get("card", {}).get("request_multicapture")
        charge = self._books.add(
            "ch",
            "charge",
            amount=intent["amount"],
            amount_captured=0 if is_manual else intent["amount"],
            amount_refunded=0,
            balance_transaction=None if is_manual else _txn(),
            captured=not is_manual,
            currency=intent["currency"],
            disputed=False,
            metadata=dict(intent["metadata"]),
            payment_intent=intent["id"],
            payment_method_details={
                "type": "card",
                "card": {
                    "amount_authorized": intent["amount"],
                    "capture_before": int(time.time()) + WEEK if is_manual else None,
                    "multicapture": {"status": "available" if wants_more else "unavailable"},
                },
            },
            refunded=False,
            status="succeeded",
            fake_refund_status=card.refund_status,
        )
        intent["latest_charge"] = charge["id"]
        if intent["customer"] and intent["setup_future_usage"] and intent["payment_method"] in CARDS:
            save_method(self._books, intent["customer"], card=intent["payment_method"])
        self._books.emit("charge.succeeded", charge)
        if is_manual:
            intent.update(status="requires_capture", amount_capturable=intent["amount"])
            self._books.emit("payment_intent.amount_capturable_updated", intent)
        else:
            intent.update(status="succeeded", amount_received=intent["amount"])
            self._books.emit("payment_intent.succeeded", intent)
        return self._shown(intent, params)

    def _check_capturable(self, intent: Json) -> None:
        if intent["status"] == "succeeded":
            raise self._unexpected(
                intent,
                "The remaining amount on this PaymentIntent could not be captured because the remainder of the "
                "authorized amount has been released.",
            )
        if intent["status"] != "requires_capture":
            raise self._unexpected(
                intent,
                f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a "
                "PaymentIntent with one of the following statuses may be captured: requires_capture.",
            )

    def _check_capture(self, intent: Json, charge: Json, units: int, *, is_final: bool) -> None:
        multicapture = charge["payment_method_details"]["card"]["multicapture"]["status"] == "available"
        if not is_final and not multicapture:
            raise ApiError(
                "You can only use final_capture when multicapture is available.", param="final_capture"
            )
        if units < 1 and not (units == 0 and multicapture and intent["amount_received"]):
            raise ApiError(
                "This value must be greater than or equal to 1.",
                code="parameter_invalid_integer",
                param="amount",
            )
        if units > intent["amount_capturable"]:
            raise ApiError(
                "The payment could not be captured because the requested capture amount is greater than the amount "
                "you can capture for this charge.",
                code="amount_too_large",
                payment_intent=self._shown(intent, {}),
            )
        check_units(units, intent["currency"])

    def _release(self, intent: Json, charge: Json) -> None:
        """Let go of the rest; Stripe notes that as a refund which moves nothing."""
        rest = charge["amount"] - intent["amount_received"]
        intent["amount_capturable"] = 0
        if not rest:
            return
        refund = self._books.add(
            "re",
            "refund",
            amount=rest,
            balance_transaction=None,
            charge=charge["id"],
            currency=charge["currency"],
            failure_reason=None,
            payment_intent=intent["id"],
            reason=None,
            status="succeeded",
        )
        charge.update(amount_refunded=charge["amount_refunded"] + rest)
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self._books.emit("charge.refunded", charge)
        self._books.emit("refund.created", refund)

    def _declined(self, intent: Json, error: Json) -> ApiError:
        self._fail(intent, error)
        return ApiError(status=402, **error, payment_intent=self._shown(intent, {}))

    def _fail(self, intent: Json, error: Json) -> None:
        error = {**error, "payment_method": {"id": intent["payment_method"], "object": "payment_method"}}
        intent.update(status="requires_payment_method", payment_method=None, last_payment_error=error)
        self._books.emit("payment_intent.payment_failed", intent)

    def _error(self, code: str, decline_code: str | None, message: str, advice: str | None = None) -> Json:
        error = {"type": "card_error", "code": code, "message": message, "doc_url": "https://stripe.com/docs"}
        extra = {"decline_code": decline_code, "advice_code": advice}
        return error | {name: value for name, value in extra.items() if value}

    def _unexpected(self, intent: Json, message: str) -> ApiError:
        return ApiError(
            message, code="payment_intent_unexpected_state", payment_intent=self._shown(intent, {})
        )

    def _shown(self, intent: Json, params: Json) -> Json:
        shown: Json = copy.deepcopy(intent)
        if "latest_charge" in params.get("expand", []) and shown["latest_charge"]:
            shown["latest_charge"] = public(self._books.objects[shown["latest_charge"]])
        return shown


def save_method(books: Books, customer_id: str, *, card: str, last4: str = "4242") -> Json:
    """Save a card for a customer."""
    return books.add(
        "pm",
        "payment_method",
        type="card",
        customer=customer_id,
        card={"brand": "visa", "last4": last4, "exp_month": 12, "exp_year": 2034, "fingerprint": "x"},
        billing_details={"email": None},
        fake_card=card,
    )


def public(row: Json) -> dict[str, Any]:
    """Return an object without what only the fake knows."""
    return copy.deepcopy({name: value for name, value in row.items() if not name.startswith("fake_")})


def _txn() -> str:
    return f"txn_{secrets.token_hex(12)}"
