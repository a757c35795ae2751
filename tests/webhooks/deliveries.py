"""Delivering events to the webhook address as the simulator does, and looking at what became of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.test import Client
from django.urls import reverse

from payments.models import (
    PaymentSession,
    WebhookEvent,
)
from payments.providers import SessionFact, WebhookResult
from payments.simulator import SimulatorService
from payments.simulator.webhooks import sign
from payments.states import SessionStatus
from tests.reliability.books import KEPT

SECRET = "whsec_current"
NEXT_SECRET = "whsec_next"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Hold what the webhook address answered."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.body["code"])

    @property
    def is_duplicate(self) -> bool:
        """Whether the event was known already."""
        return bool(self.body["duplicate"])


def address(provider_id: str = "simulator") -> str:
    """Return the path of a provider's webhook address."""
    path: str = reverse("payments:webhook", args=[provider_id])
    return path


def deliver(
    body: bytes,
    *,
    provider_id: str = "simulator",
    secrets: Sequence[str] = (SECRET,),
    at: int | None = None,
    signature: str | None = None,
    content_type: str = "application/json",
    **environ: str,
) -> Answer:
    """Deliver a body, signed at a Unix time unless a signature is given; `environ` overrides WSGI's variables."""
    if signature is None:
        signature = sign(secrets, body, int(time.time()) if at is None else at)
    client = Client(enforce_csrf_checks=True)
    environ = {"HTTP_SIMULATOR_SIGNATURE": signature, **environ}
    response = client.generic("POST", address(provider_id), body, content_type, **environ)  # type: ignore[arg-type]
    return Answer(
        status=response.status_code, body=json.loads(response.content), headers=dict(response.items())
    )


def bodies(service: SimulatorService, session: PaymentSession, event_type: str | None = None) -> list[bytes]:
    """Return the events that the simulator has written of a session, oldest first, as it sends them."""
    return [event.body.encode() for event in service.events(type=event_type, reference=session.pk)]


def intent_of(session: PaymentSession) -> str:
    """Return the simulator's id of a session."""
    session.refresh_from_db()
    assert session.provider_reference is not None
    return str(session.provider_reference)


def books() -> dict[str, list[dict[str, Any]]]:
    """Return every row that may stand for money, and the whole history; but not when a row was changed."""
    return {
        model.__name__: [
            {name: value for name, value in row.items() if name not in ("updated_at", "version")}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in KEPT
    }


def history(session: PaymentSession) -> list[str]:
    """Return the types of a session's events, in their order."""
    return list(session.events.order_by("id").values_list("type", flat=True))


def only_event() -> WebhookEvent:
    """Return the one event in the inbox."""
    return WebhookEvent.objects.get()


def hint(session: PaymentSession | None = None, **values: Any) -> WebhookResult:
    """Return a verified event that carries no fact."""
    known: dict[str, Any] = {
        "event_id": "evt_1",
        "event_type": "payment.changed",
        "session_id": session.pk if session else None,
    }
    return WebhookResult(**(known | values))


def authorized_fact(amount: str = "100.00", **values: Any) -> SessionFact:
    """Return the fact that this much is held."""
    return SessionFact(
        currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(amount), **values
    )
