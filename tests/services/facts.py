"""Reports of a provider, as the tests tell them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django.apps import apps

from payments import services
from payments.models import PaymentSession
from payments.providers import Failure, MovementFact, SessionFact
from payments.services import Origin
from payments.states import EventSource, MovementKind, MovementStatus, SessionStatus
from tests.services.results import CHALLENGE

WEBHOOK: Final = Origin(source=EventSource.WEBHOOK)

AUTHORIZED: Final = SessionFact(
    currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(100), amount=Decimal(100)
)
CANCELED: Final = SessionFact(currency_code="eur", status=SessionStatus.CANCELED)
PENDING: Final = SessionFact(currency_code="eur", status=SessionStatus.PENDING)
REQUIRES_MORE: Final = SessionFact(
    currency_code="eur", status=SessionStatus.REQUIRES_MORE, next_action=CHALLENGE
)
REFUSED: Final = SessionFact(
    currency_code="eur", status=SessionStatus.ERROR, failure=Failure(code="card_declined", message="No.")
)


def tell(session: PaymentSession, *facts: SessionFact) -> None:
    """Record reports as a webhook would, and read the session anew."""
    for fact in facts:
        services.record_fact(session, fact, origin=WEBHOOK)
    session.refresh_from_db()


def captured(amount: str, **more: Any) -> SessionFact:
    """Return the report that 100.00 are held, and this much was taken so far."""
    return SessionFact(
        currency_code="eur",
        status=SessionStatus.AUTHORIZED,
        authorized_amount=Decimal(100),
        captured_amount=Decimal(amount),
        **more,
    )


def moved(
    kind: MovementKind, amount: str, status: MovementStatus = MovementStatus.SUCCEEDED, **more: Any
) -> SessionFact:
    """Return the report of one movement."""
    currency_code = more.pop("currency_code", "eur")
    movement = MovementFact(
        kind=kind, status=status, amount=Decimal(amount), currency_code=currency_code, **more
    )
    return SessionFact(currency_code="eur", movements=(movement,))


def books() -> dict[str, list[dict[str, Any]]]:
    """Return every row of `payments`, with all that it holds but when, and how often, it was changed."""
    return {
        model.__name__: [
            {name: value for name, value in row.items() if name not in ("updated_at", "version")}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in apps.get_app_config("payments").get_models()
    }
