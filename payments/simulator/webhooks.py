"""Events, written in the same transaction as what happened, and their delivery as signed webhooks with retries."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from payments.simulator.errors import NotFoundError
from payments.simulator.ledger import Ledger
from payments.simulator.records import Intent
from payments.simulator.runtime import Clock, DeliveryPolicy, Settings, Worker, new_id
from payments.simulator.server import Json


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event; `status` is pending, held, delivered, failed or dropped. `due_at` is real time."""

    id: str
    type: str
    intent: str
    reference: str
    body: str
    status: str
    attempts: int
    last_answer: str | None
    created: int

    @classmethod
    def from_row(cls, row: Any) -> Event:
        """Read a ledger row."""
        names = ("id", "type", "intent", "reference", "body", "status", "attempts", "last_answer")
        return cls(created=int(row["created"]), **{name: row[name] for name in names})

    def as_json(self) -> Json:
        """Return the event as the control API lists it."""
        return {
            "id": self.id,
            "type": self.type,
            "intent": self.intent,
            "reference": self.reference,
            "status": self.status,
            "attempts": self.attempts,
            "last_answer": self.last_answer,
            "created": self.created,
            "body": json.loads(self.body),
        }


class Events:
    """All events of the service, in the order in which they happened."""

    def __init__(self, ledger: Ledger, clock: Clock, settings: Settings) -> None:
        self._ledger = ledger
        self._clock = clock
        self._settings = settings

    def emit(self, event_type: str, intent: Intent) -> None:
        """Write an event about an intent; runs inside the transaction of what happened."""
        event_id = new_id("evt")
        created = self._clock.now()
        body = {
            "id": event_id,
            "type": event_type,
            "created": int(created),
            "data": {"object": intent.as_json(self._settings.base_url)},
        }
        policy = self._settings.delivery
        earlier = self._held_back(intent.id) if policy.reorder else []
        self._ledger.insert(
            "events",
            id=event_id,
            type=event_type,
            intent=intent.id,
            reference=intent.reference,
            body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
            status=self._first_status(policy, bool(earlier)),
            copies_left=max(1, policy.duplicate),
            due_at=time.time() + policy.delay,
            position=self._next_position(),
            created=created,
        )
        self._queue(earlier)

    def _first_status(self, policy: DeliveryPolicy, has_earlier: bool) -> str:
        if policy.drop or not self._settings.webhook_url:
            return "dropped"
        if policy.hold or (policy.reorder and not has_earlier):
            return "held"
        return "pending"

    def _held_back(self, intent_id: str) -> list[str]:
        rows = self._ledger.select("events", "seq", intent=intent_id, status="held")
        return [row["id"] for row in rows]

    def _next_position(self) -> int:
        row = self._ledger.row("SELECT COALESCE(MAX(position), 0) + 1 AS next FROM events")
        return int(row["next"]) if row else 1

    def _queue(self, event_ids: list[str], *, copies: int | None = None) -> None:
        now = time.time()
        for event_id in event_ids:
            changes: dict[str, object] = {
                "status": "pending",
                "due_at": now,
                "position": self._next_position(),
            }
            if copies is not None:
                changes |= {"copies_left": copies, "attempts": 0}
            self._ledger.update("events", event_id, **changes)

    def find(
        self, *, type: str | None = None, reference: str | None = None, intent: str | None = None
    ) -> list[Event]:
        """Return events, oldest first."""
        rows = self._ledger.select("events", "seq", type=type, reference=reference, intent=intent)
        return [Event.from_row(row) for row in rows]

    def get(self, event_id: str) -> Event:
        """Return one event, or raise NotFoundError."""
        row = self._ledger.row("SELECT * FROM events WHERE id = ?", event_id)
        if row is None:
            raise NotFoundError("event_not_found", "There is no such event.")
        return Event.from_row(row)

    def release(self, *event_ids: str, reverse: bool = False) -> list[Event]:
        """Deliver held events in the order given; without ids all held ones, the oldest (or newest) first."""
        with self._ledger.transaction():
            held = [row["id"] for row in self._ledger.select("events", "seq", status="held")]
            order = [self.get(event_id).id for event_id in event_ids] or (held[::-1] if reverse else held)
            self._queue(order)
        return [self.get(event_id) for event_id in order]

    def redeliver(self, event_id: str, *, times: int = 1) -> Event:
        """Deliver an event again, whatever became of it."""
        with self._ledger.transaction():
            self.get(event_id)
            self._queue([event_id], copies=times)
        return self.get(event_id)


def sign(secrets: Sequence[str], body: bytes, timestamp: int) -> str:
    """Return the value of the Simulator-Signature header.

    It is `t=<unix>,v1=<hex hmac-sha256(secret, "<t>.<body>")>`, with one `v1` per secret during a rotation.
    """
    message = f"{timestamp}.".encode() + body
    digests = (hmac.new(secret.encode(), message, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={timestamp}", *(f"v1={digest}" for digest in digests)])


def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> int:
    """Send a POST and return the status; a redirect is not followed and no proxy is used."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


class WebhookSender(Worker):
    """The thread that delivers."""

    thread_name = "simulator-webhooks"

    def __init__(self, ledger: Ledger, clock: Clock, settings: Settings) -> None:
        super().__init__(ledger)
        self._clock = clock
        self._settings = settings
        self._progress = threading.Condition()

    def wait_until_idle(self, timeout: float = 5.0) -> bool:
        """Wait until nothing is pending; return whether that came true in time (seconds)."""
        with self._progress:
            return self._progress.wait_for(self._is_idle, timeout)

    def _is_idle(self) -> bool:
        return self._ledger.row("SELECT 1 FROM events WHERE status = 'pending'") is None

    def _run(self, stopping: threading.Event) -> None:
        senders = self._settings.webhook_senders
        with ThreadPoolExecutor(senders) as pool:
            while not stopping.is_set():
                self._wake.clear()
                rows = self._ledger.rows(
                    "SELECT * FROM events WHERE status = 'pending' ORDER BY MAX(due_at, ?), position LIMIT ?",
                    time.time(),
                    senders,
                )
                pauses = [row["due_at"] - time.time() for row in rows]
                due = [row for row, pause in zip(rows, pauses, strict=True) if pause <= 0]
                if not (rows and self._settings.webhook_url):
                    self._wake.wait(timeout=1.0)
                elif not due:
                    self._wake.wait(timeout=pauses[0])
                else:
                    list(pool.map(self._deliver, due))
                    with self._progress:
                        self._progress.notify_all()

    def _deliver(self, row: Any) -> None:
        is_received, answer = self._send(row["body"].encode())
        copies = row["copies_left"] - 1 if is_received else row["copies_left"]
        attempts = row["attempts"] + 1
        status, due_at = "pending", row["due_at"]
        retries = self._settings.webhook_retries
        if is_received:
            status = "pending" if copies else "delivered"
        elif attempts > len(retries):
            status = "failed"
        else:
            due_at = time.time() + retries[attempts - 1]
        with self._ledger.transaction():
            # A test may have redelivered or cleared it meanwhile; then its wish stands.
            self._ledger.execute(
                "UPDATE events SET status = ?, copies_left = ?, attempts = ?, last_answer = ?, due_at = ? "
                "WHERE id = ? AND status = 'pending' AND position = ?",
                *(status, copies, attempts, answer, due_at, row["id"], row["position"]),
            )

    def _send(self, body: bytes) -> tuple[bool, str]:
        url = self._settings.webhook_url or ""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "PaymentSimulator/1.0",
            "Simulator-Signature": sign(self._settings.webhook_secrets, body, int(self._clock.now())),
        }
        try:
            status = post(url, body, headers, self._settings.webhook_timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return False, type(error).__name__
        return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES, str(status)
