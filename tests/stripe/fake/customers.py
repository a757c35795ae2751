"""Customers, their saved payment methods, and the SetupIntents that save them."""

from __future__ import annotations

import secrets

from tests.fakes import Json
from tests.stripe.fake.books import Books
from tests.stripe.fake.cards import CARDS, TOKENS
from tests.stripe.fake.intents import public, save_method
from tests.stripe.fake.wire import ApiError, found_in, require


class Customers:
    """Keep the customers of an account."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._deleted: dict[str, Json] = {}

    def create(self, params: Json) -> Json:
        """Make a customer."""
        row = self._books.add(
            "cus",
            "customer",
            email=params.get("email"),
            name=params.get("name"),
            description=params.get("description"),
            metadata=dict(params.get("metadata", {})),
        )
        return dict(row)

    def retrieve(self, customer_id: str, params: Json) -> Json:
        """Show a customer, or all that is left of one that was deleted."""
        if customer_id in self._deleted:
            return {"id": customer_id, "object": "customer", "deleted": True}
        return dict(self._books.get(customer_id, "customer", param="id"))

    def remove(self, customer_id: str, params: Json) -> Json:
        """Delete a customer, as the API does when it is asked to."""
        self._books.get(customer_id, "customer", param="id")
        self.delete(customer_id)
        return self.retrieve(customer_id, params)

    def delete(self, customer_id: str) -> None:
        """Delete a customer for good, with all that they have saved."""
        self._deleted[customer_id] = self._books.objects.pop(customer_id)
        for method in self._books.all("payment_method", customer=customer_id):
            self.detach(method["id"])

    def search(self, params: Json) -> Json:
        """Find customers by one key of their metadata, a deleted one too: the index lags behind."""
        require(params, "query")
        key, value = found_in(params["query"])
        rows = [*self._books.all("customer"), *self._deleted.values()] if self._books.is_searchable else []
        found = [dict(row) for row in rows if row["metadata"].get(key) == value]
        return {
            "object": "search_result",
            "data": found,
            "has_more": False,
            "next_page": None,
            "url": "/v1/x",
        }

    def methods(self, customer_id: str) -> list[Json]:
        """Return the saved payment methods of a customer."""
        self._books.get(customer_id, "customer", param="customer")
        return [public(row) for row in self._books.all("payment_method", customer=customer_id)]

    def method(self, method_id: str) -> Json:
        """Return a payment method: a saved one, or one of those that are everybody's for tests."""
        if method_id in CARDS:
            return {"id": method_id, "object": "payment_method", "type": "card", "customer": None}
        return public(self._books.get(method_id, "payment_method", param="payment_method"))

    def token(self, token_id: str) -> Json:
        """Return a confirmation token, with a preview of what it pays with."""
        if token_id not in TOKENS:
            raise ApiError(f"No such confirmation token: '{token_id}'", status=404, code="resource_missing")
        preview = self.method(TOKENS[token_id])
        return {"id": token_id, "object": "confirmation_token", "payment_method_preview": preview}

    def set_up(self, params: Json) -> Json:
        """Start saving a payment method; the payer's browser ends it."""
        if params.get("customer"):
            self._books.get(params["customer"], "customer", param="customer")
        row = self._books.add(
            "seti",
            "setup_intent",
            customer=params.get("customer"),
            usage=params.get("usage", "off_session"),
            metadata=dict(params.get("metadata", {})),
            payment_method=None,
            next_action=None,
            status="requires_payment_method",
        )
        row["client_secret"] = f"{row['id']}_secret_{secrets.token_hex(12)}"
        return dict(row)

    def save(self, customer_id: str, *, card: str = "pm_card_visa", last4: str = "4242") -> Json:
        """Do what a payer's browser does with a SetupIntent: save a card."""
        return public(save_method(self._books, customer_id, card=card, last4=last4))

    def detach(self, method_id: str) -> Json:
        """Forget a saved payment method."""
        row = self._books.get(method_id, "payment_method", param="payment_method")
        if row["customer"] is None:
            raise ApiError(
                f"The payment method {method_id} is not attached to a customer so detachment is impossible.",
                code="payment_method_unexpected_state",
            )
        row.update(customer=None, fake_is_detached=True)
        return public(row)
