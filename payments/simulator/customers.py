"""Customers who come again: their accounts, and the test cards that they have saved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from payments.simulator.commands import CreateCustomer, SetUp
from payments.simulator.errors import NotFoundError
from payments.simulator.faults import CARDS
from payments.simulator.ledger import Ledger
from payments.simulator.runtime import Clock, new_id, new_secret
from payments.simulator.server import Json


@dataclass(frozen=True, kw_only=True)
class Customer:
    """A person whom the merchant knows."""

    id: str
    reference: str
    email: str | None

    def as_json(self) -> Json:
        """Return the customer as the API shows them."""
        return {"id": self.id, "object": "customer", "reference": self.reference, "email": self.email}


@dataclass(frozen=True, kw_only=True)
class Method:
    """A test card that a customer has saved."""

    id: str
    customer: str
    card: str

    def as_json(self) -> Json:
        """Return the method as the API shows it."""
        return {
            "id": self.id,
            "object": "method",
            "customer": self.customer,
            "card": self.card,
            "brand": "Sandcard",
            "last4": CARDS[self.card].last4,
            "expires": "2039-12",
        }


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A card that is about to be saved: the customer chooses it on a page of the service's own."""

    id: str
    customer: str
    token: str
    return_url: str | None
    method: str | None

    def as_json(self, base_url: str) -> Json:
        """Return the setup as the API shows it."""
        url = f"{base_url}/save/{self.token}"
        return {
            "id": self.id,
            "object": "setup",
            "customer": self.customer,
            "status": "requires_action" if self.method is None else "succeeded",
            "client_token": self.token,
            "return_url": self.return_url,
            "method": self.method,
            "next_action": {"type": "redirect", "url": url} if self.method is None else None,
        }


class Customers:
    """All customers of the service."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def get(self, customer_id: str) -> Customer:
        """Return a customer, or raise NotFoundError."""
        row = self._row("customers", "customer", id=customer_id)
        return Customer(**{name: row[name] for name in ("id", "reference", "email")})

    def find(self, *, reference: str) -> list[Customer]:
        """Return the customers with a merchant's reference, oldest first."""
        rows = self._ledger.select("customers", "seq", reference=reference)
        return [self.get(row["id"]) for row in rows]

    def create(self, wish: CreateCustomer) -> Customer:
        """Make an account."""
        customer_id = new_id("cus")
        self._ledger.insert(
            "customers",
            id=customer_id,
            reference=wish.reference,
            email=wish.email,
            created=self._clock.now(),
        )
        return self.get(customer_id)

    def methods(self, customer_id: str) -> list[Method]:
        """Return what a customer has saved, oldest first."""
        customer = self.get(customer_id)
        return [_method(row) for row in self._ledger.select("methods", "seq", customer=customer.id)]

    def method(self, method_id: str) -> Method | None:
        """Return a saved card of any customer, or None."""
        rows = self._ledger.select("methods", "seq", id=method_id)
        return _method(rows[0]) if rows else None

    def set_up(self, wish: SetUp) -> Setup:
        """Start saving a card."""
        customer, setup_id = self.get(wish.customer), new_id("set")
        self._ledger.insert(
            "setups",
            id=setup_id,
            customer=customer.id,
            token=new_secret("st"),
            return_url=wish.return_url,
            created=self._clock.now(),
        )
        return _setup(self._row("setups", "setup", id=setup_id))

    def setup_at(self, token: str) -> Setup:
        """Return the setup whose page this is, or raise NotFoundError."""
        return _setup(self._row("setups", "setup", token=token))

    def complete(self, token: str, card: str) -> Setup:
        """Save the card that the customer has chosen; what is saved already is not saved again."""
        with self._ledger.transaction():
            setup = self.setup_at(token)
            if setup.method is None:
                method = self.save(setup.customer, card)
                self._ledger.update("setups", setup.id, method=method.id)
            return self.setup_at(token)

    def save(self, customer_id: str, card: str) -> Method:
        """Save a test card for a customer."""
        with self._ledger.transaction():
            customer, method_id = self.get(customer_id), new_id("pm")
            if card not in CARDS:
                raise NotFoundError("unknown_card", "There is no such test card.")
            self._ledger.insert(
                "methods", id=method_id, customer=customer.id, card=card, created=self._clock.now()
            )
            return _method(self._row("methods", "method", id=method_id))

    def remove(self, customer_id: str, method_id: str) -> Method:
        """Forget a saved card, if it is this customer's; else raise NotFoundError."""
        row = self._row("methods", "method", id=method_id, customer=self.get(customer_id).id)
        self._ledger.execute("DELETE FROM methods WHERE id = ?", method_id)
        return _method(row)

    def delete(self, customer_id: str) -> Customer:
        """Forget a customer and all that they have saved; what they have paid stays."""
        with self._ledger.transaction():
            customer = self.get(customer_id)
            for table in ("methods", "setups"):
                self._ledger.execute(f"DELETE FROM {table} WHERE customer = ?", customer.id)  # noqa: S608
            self._ledger.execute("DELETE FROM customers WHERE id = ?", customer.id)
            return customer

    def _row(self, table: str, name: str, **columns: str) -> Any:
        rows = self._ledger.select(table, "seq", **columns)
        if not rows:
            raise NotFoundError(f"{name}_not_found", f"There is no such {name}.")
        return rows[0]


def _method(row: Any) -> Method:
    return Method(id=row["id"], customer=row["customer"], card=row["card"])


def _setup(row: Any) -> Setup:
    names = ("id", "customer", "token", "return_url", "method")
    return Setup(**{name: row[name] for name in names})
