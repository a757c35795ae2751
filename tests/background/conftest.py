"""What the tests of the background work share: a simulator, and something to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from payments import services
from payments.models import PaymentProvider, PaymentSession, WebhookEvent
from payments.simulator import SimulatorService
from tests.webhooks.deliveries import intent_of

MakeHints = Callable[[int], list[WebhookEvent]]


@pytest.fixture
def make_hints(db: None, simulator: SimulatorService) -> MakeHints:
    """Return a function that leaves hints in the inbox, each of a session of its own, authorized at the provider."""

    def make(number: int) -> list[WebhookEvent]:
        hints = []
        for position in range(number):
            session = _authorized_at_the_provider(simulator)
            hint = WebhookEvent(
                provider=PaymentProvider.objects.get(pk="simulator"),
                event_id=f"evt_{position}",
                type="intent.changed",
                session=session,
                reported_session_id=session.pk,
                next_attempt_at=timezone.now(),
            )
            hint.save(force_insert=True)
            hints.append(hint)
        return hints

    return make


def _authorized_at_the_provider(simulator: SimulatorService) -> PaymentSession:
    collection = services.create_payment_collection(amount="10.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="simulator")
    simulator.authorize(intent_of(session))
    return session
