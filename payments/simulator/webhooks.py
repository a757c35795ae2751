"""Delivery of events as signed webhooks: one at a time, in order of their due time, with retries.

The signature is `Simulator-Signature: t=<unix>,v1=<hex hmac-sha256(secret, "<t>.<body>")>`, with one `v1` per
secret while a secret is being rotated.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from payments.simulator.clock import Clock
from payments.simulator.ledger import Ledger
from payments.simulator.settings import Settings
from payments.simulator.threads import Worker


def sign(secrets: Sequence[str], body: bytes, timestamp: int) -> str:
    """Return the value of the Simulator-Signature header."""
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


class Courier(Worker):
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
        while not stopping.is_set():
            self._wake.clear()
            row = self._ledger.row(
                "SELECT * FROM events WHERE status = 'pending' ORDER BY MAX(due_at, ?), position LIMIT 1",
                time.time(),
            )
            pause = row["due_at"] - time.time() if row else None
            if row is None or not self._settings.webhook_url:
                self._wake.wait(timeout=1.0)
            elif pause is not None and pause > 0:
                self._wake.wait(timeout=pause)
            else:
                self._deliver(row)
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
