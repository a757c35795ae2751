"""The floor: the flow in bare SQL by psycopg, which is what a flow costs however well Python is written.

It makes the commits that the services make, nine in a flow, in the same tables with their indexes and constraints, and
leaves the same rows. Every claim and every record locks the collection, reads what it decides by and looks at it, and
writes. Statements are constant, so that psycopg prepares them. There is no ORM, no provider, no state graph and no
receiver; events are born published.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import psycopg
from django.db import models

from payments import ids
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentProvider,
    PaymentSession,
    Refund,
)

AMOUNT: Final = Decimal("100.00")
CURRENCY: Final = "eur"
PROVIDER: Final = "system"
LEASE: Final = timedelta(minutes=2)

LOCK: Final = (
    "SELECT status, amount, authorized_amount, captured_amount, refunded_amount "
    "FROM payments_paymentcollection WHERE id = %s FOR UPDATE"
)
UNDER_WAY: Final = (
    "SELECT coalesce(sum(amount), 0) FROM payments_paymentsession "
    "WHERE collection_id = %s AND status <> 'canceled'"
)
SESSION: Final = "SELECT status, amount FROM payments_paymentsession WHERE id = %s"
OPEN: Final = (
    "SELECT count(*) FROM payments_paymentoperation "
    "WHERE target_id = %s AND status IN ('processing', 'pending', 'unknown', 'attention')"
)
END_OPERATION: Final = (
    "UPDATE payments_paymentoperation SET status = 'succeeded', in_flight_key = NULL, lease_expires_at = NULL, "
    "finished_at = now(), updated_at = now() WHERE id = %s AND status = 'processing'"
)
INITIATE: Final = (
    "UPDATE payments_paymentsession SET initiated_at = now(), updated_at = now() "
    "WHERE id = %s AND status = 'pending'"
)
AUTHORIZE: Final = (
    "UPDATE payments_paymentsession SET status = 'authorized', authorized_at = now(), updated_at = now() "
    "WHERE id = %s AND status = 'pending'"
)
AWAIT_AUTHORIZATION: Final = (
    "UPDATE payments_paymentcollection SET status = 'awaiting', updated_at = now() WHERE id = %s"
)
HOLD: Final = (
    "UPDATE payments_paymentcollection SET status = 'authorized', authorized_amount = authorized_amount + %s, "
    "updated_at = now() WHERE id = %s"
)


@dataclass(frozen=True, kw_only=True)
class Movement:
    """Capture or refund: what the two have in common, and the words in which they differ."""

    kind: str
    done: str
    payment_before: str
    collection_before: str
    collection_after: str
    collection_times: str
    payment_times: str
    free: str

    @property
    def free_amount(self) -> str:
        """Return the query of what is left of a payment, without what is under way."""
        return (
            f"SELECT status, {self.free} - (SELECT coalesce(sum(amount), 0) FROM payments_{self.kind} "  # noqa: S608
            "WHERE payment_id = payment.id AND status = 'pending') FROM payments_payment AS payment WHERE id = %s"
        )

    @property
    def succeed(self) -> str:
        """Return the update of the capture or refund."""
        return (
            f"UPDATE payments_{self.kind} SET status = 'succeeded', succeeded_at = now(), updated_at = now() "  # noqa: S608
            "WHERE id = %s AND status = 'pending'"
        )

    @property
    def add_to_payment(self) -> str:
        """Return the update of the payment."""
        return (
            f"UPDATE payments_payment SET status = '{self.done}', {self.done}_amount = {self.done}_amount + %s, "  # noqa: S608
            f"{self.payment_times}updated_at = now() WHERE id = %s"
        )

    @property
    def add_to_collection(self) -> str:
        """Return the update of the collection."""
        return (
            f"UPDATE payments_paymentcollection SET status = '{self.collection_after}', "  # noqa: S608
            f"{self.done}_amount = {self.done}_amount + %s, {self.collection_times}, updated_at = now() WHERE id = %s"
        )


CAPTURE: Final = Movement(
    kind="capture",
    done="captured",
    payment_before="authorized",
    collection_before="authorized",
    collection_after="completed",
    collection_times="completed_at = now()",
    payment_times="captured_at = now(), ",
    free="amount - captured_amount - canceled_amount",
)
REFUND: Final = Movement(
    kind="refund",
    done="refunded",
    payment_before="captured",
    collection_before="completed",
    collection_after="canceled",
    collection_times="completed_at = NULL",
    payment_times="",
    free="captured_amount - refunded_amount - charged_back_amount + reinstated_amount",
)


class FloorError(Exception):
    """What stops a flow whose rows aren't as it must have left them."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A model's table, and what its NOT NULL columns hold where a row doesn't say."""

    name: str
    defaults: Mapping[str, Any]

    @classmethod
    def of(cls, model: type[models.Model]) -> Table:
        """Read the table's name and the defaults off a model."""
        fields = [field for field in model._meta.concrete_fields if not field.null and not field.primary_key]
        values = {field.column: _plain(field.get_default()) for field in fields if field.column}
        defaults = {column: value for column, value in values.items() if value is not None}
        return cls(name=model._meta.db_table, defaults=defaults)

    def insertion(self, *rows: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """Return the statement that inserts rows with the same columns, and its parameters."""
        whole = [{**self.defaults, **row} for row in rows]
        return _insertion(self.name, tuple(whole[0]), len(whole)), [
            value for row in whole for value in row.values()
        ]


@functools.cache
def _insertion(table: str, columns: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join(['%s'] * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"  # noqa: S608


def _plain(value: Any) -> Any:
    """Return a default as SQL takes it."""
    if isinstance(value, Enum):
        return value.value
    return json.dumps(value) if isinstance(value, dict | list) else value


class Floor:
    """A connection on which flows are made."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=2)
        self._cursor = self._connection.cursor()
        self._collections, self._sessions = Table.of(PaymentCollection), Table.of(PaymentSession)
        self._payments, self._operations = Table.of(Payment), Table.of(PaymentOperation)
        self._movements = {"capture": Table.of(Capture), "refund": Table.of(Refund)}
        self._new_movement_id = {"capture": ids.new_capture_id, "refund": ids.new_refund_id}
        self._events = Table.of(PaymentEvent)
        text, values = Table.of(PaymentProvider).insertion(self._times() | {"id": PROVIDER})
        self._cursor.execute(f"{text} ON CONFLICT DO NOTHING", values)

    def flow(self) -> Iterator[str]:
        """Pay 100.00 euros, take and give them back, yielding each verb's name once it is done."""
        collection = self.create_collection()
        yield "collection"
        session = self.create_session(collection)
        yield "session"
        links = {"collection_id": collection, "session_id": session}
        links["payment_id"] = self.authorize(links)
        yield "authorize"
        self.move(CAPTURE, links)
        yield "capture"
        self.move(REFUND, links)
        yield "refund"

    def create_collection(self) -> str:
        """Create a collection of 100.00 euros, and return its id."""
        collection = ids.new_collection_id()
        row = {"id": collection, "status": "not_paid", "currency_code": CURRENCY, "amount": AMOUNT}
        with self._connection.transaction():
            self._insert(self._collections, row | self._times())
            self._note(
                {"collection_id": collection},
                ("collection.created", {"to_status": "not_paid", "amount": AMOUNT}),
            )
        return collection

    def create_session(self, collection: str) -> str:
        """Create a session for all of a collection, and return its id."""
        session = ids.new_session_id()
        links = {"collection_id": collection, "session_id": session}
        row = {"id": session, "collection_id": collection, "provider_id": PROVIDER, "status": "pending"}
        with self._connection.transaction():
            total = self._lock(collection, "not_paid")
            (taken,) = self._one(UNDER_WAY, collection)
            _check(taken + AMOUNT <= total)
            self._insert(self._sessions, row | {"amount": AMOUNT, "is_split": True} | self._times())
            operation = self._claim("initiate", session, links)
            self._note(links, ("session.created", {"to_status": "pending", "amount": AMOUNT}))
            self._change(AWAIT_AUTHORIZATION, collection)
        with self._connection.transaction():
            self._lock(collection, "awaiting")
            self._change(END_OPERATION, operation)
            self._change(INITIATE, session)
        return session

    def authorize(self, links: dict[str, str]) -> str:
        """Authorize a session, and return the id of its payment."""
        collection, session, payment = links["collection_id"], links["session_id"], ids.new_payment_id()
        with self._connection.transaction():
            self._lock(collection, "awaiting")
            _check(self._one(SESSION, session) == ("pending", AMOUNT))
            _check(self._one(OPEN, session) == (0,))
            operation = self._claim("authorize", session, links)
        row = {"id": payment, **links, "provider_id": PROVIDER, "status": "authorized", "amount": AMOUNT}
        with self._connection.transaction():
            self._lock(collection, "awaiting")
            self._change(END_OPERATION, operation)
            self._change(AUTHORIZE, session)
            self._insert(self._payments, row | self._times())
            self._note(
                {**links, "payment_id": payment, "operation_id": operation},
                ("session.authorized", _moved("pending", "authorized") | {"amount": AMOUNT}),
                ("payment.authorized", {"to_status": "authorized", "amount": AMOUNT}),
                ("collection.authorized", _moved("awaiting", "authorized")),
            )
            self._change(HOLD, AMOUNT, collection)
        return payment

    def move(self, movement: Movement, links: dict[str, str]) -> None:
        """Capture or refund all of a payment."""
        collection, payment = links["collection_id"], links["payment_id"]
        row = self._new_movement_id[movement.kind]()
        links = {**links, f"{movement.kind}_id": row}
        values = {"id": row, "payment_id": payment, "status": "pending", "amount": AMOUNT}
        with self._connection.transaction():
            self._lock(collection, movement.collection_before)
            _check(self._one(movement.free_amount, payment) == (movement.payment_before, AMOUNT))
            _check(self._one(OPEN, payment) == (0,))
            self._insert(self._movements[movement.kind], values | self._times())
            operation = self._claim(movement.kind, row, links)
        with self._connection.transaction():
            self._lock(collection, movement.collection_before)
            self._change(END_OPERATION, operation)
            self._change(movement.succeed, row)
            self._change(movement.add_to_payment, AMOUNT, payment)
            self._note(
                {**links, "operation_id": operation},
                (f"payment.{movement.done}", _moved("pending", "succeeded") | {"amount": AMOUNT}),
                (
                    f"collection.{movement.collection_after}",
                    _moved(movement.collection_before, movement.collection_after),
                ),
                *([("collection.unauthorized", {"amount": Decimal(0)})] if movement is REFUND else []),
            )
            self._change(movement.add_to_collection, AMOUNT, collection)

    def _lock(self, collection: str, status: str) -> Decimal:
        """Lock the collection, check its status and return its amount."""
        found, amount, *_sums = self._one(LOCK, collection)
        _check(found == status)
        return Decimal(amount)

    def _claim(self, kind: str, target: str, links: dict[str, str]) -> str:
        operation = ids.new_operation_id()
        now = self._times()
        row = {"id": operation, "kind": kind, "status": "processing", "target_id": target, "source": "shop"}
        keys = {"in_flight_key": f"{kind}:{target}", "provider_id": PROVIDER}
        lease = {"amount": AMOUNT, "attempts": 1, "lease_expires_at": now["created_at"] + LEASE}
        self._insert(self._operations, row | keys | lease | links | now)
        return operation

    def _note(self, links: Mapping[str, str], *events: tuple[str, dict[str, Any]]) -> None:
        """Insert events; one of the collection links to nothing else."""
        now = datetime.now(UTC)
        unlinked = dict.fromkeys(("session_id", "payment_id", "capture_id", "refund_id", "operation_id"))
        common = {"source": "shop", "from_status": "", "amount": None, "created_at": now, "published_at": now}
        rows = []
        for name, values in events:
            about = {"collection_id": links["collection_id"]} if name.startswith("collection.") else links
            rows.append(common | unlinked | {"type": name} | dict(about) | dict(values))
        self._insert(self._events, *rows)

    def _insert(self, table: Table, *rows: Mapping[str, Any]) -> None:
        self._cursor.execute(*table.insertion(*rows))

    def _change(self, update: str, *values: Any) -> None:
        """Run an update that must find its row."""
        _check(self._cursor.execute(update, values).rowcount == 1)

    def _one(self, query: str, *values: Any) -> tuple[Any, ...]:
        row = self._cursor.execute(query, values).fetchone()
        if row is None:
            raise FloorError(query)
        return row

    @staticmethod
    def _times() -> dict[str, Any]:
        now = datetime.now(UTC)
        return {"created_at": now, "updated_at": now}


def _moved(before: str, after: str) -> dict[str, Any]:
    return {"from_status": before, "to_status": after}


def _check(is_as_expected: bool) -> None:
    if not is_as_expected:
        raise FloorError("A row isn't as the flow must have left it.")
