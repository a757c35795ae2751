"""What a careful person does at the end: deliver what was held back, ask the provider, and decide what is left."""

from __future__ import annotations

import time
from contextlib import suppress

from payments.models import PaymentCollection, PaymentOperation
from payments.providers import WebhookRequest
from payments.services import process_due_events, receive_webhook, resolve_operation, sync_payment_session
from payments.services.background.inbox import process_quietly
from payments.simulator import SimulatorService, sign
from payments.simulator.errors import ServiceError
from payments.simulator.events import Event
from payments.simulator.records import Intent
from payments.states import OperationKind, OperationStatus


def deliver(service: SimulatorService, event: Event) -> None:
    """Deliver one of the simulator's events as it would itself, signed with the time of delivery."""
    body = event.body.encode()
    signature = sign(service.settings.webhook_secrets, body, int(time.time()))
    receipt = receive_webhook(
        "simulator", WebhookRequest(body=body, headers={"simulator-signature": signature})
    )
    process_quietly(receipt.event)


def settle_everything(service: SimulatorService) -> None:
    """Let everything that is pending at the provider succeed."""
    for intent in service.intents():
        pending = [movement.id for movement in intent.movements if movement.status == "pending"]
        for object_id in [intent.id, *pending]:
            with suppress(ServiceError):
                service.settle(object_id)


def deliver_everything(service: SimulatorService) -> None:
    """Deliver all events once more, in their order."""
    for event in service.events():
        deliver(service, event)
    process_due_events()


def see_to_attention(service: SimulatorService, collection: PaymentCollection) -> None:
    """Ask the provider about every session that needs a person, and decide the rest by the provider's own ledger."""
    for session in collection.sessions.filter(operations__status=OperationStatus.ATTENTION).distinct():
        sync_payment_session(session)
    for operation in PaymentOperation.objects.filter(collection=collection, status=OperationStatus.ATTENTION):
        resolve_operation(
            operation, has_happened=_has_happened(service, operation), reason="The provider's ledger says so."
        )


def _has_happened(service: SimulatorService, operation: PaymentOperation) -> bool:
    intents = service.intents(reference=operation.session_id)
    return operation.kind == OperationKind.SYNC or any(_has_done(intent, operation) for intent in intents)


def _has_done(intent: Intent, operation: PaymentOperation) -> bool:
    match operation.kind:
        case OperationKind.CAPTURE | OperationKind.REFUND:
            rows = [row for row in intent.movements if row.reference == operation.pk]
            return any(row.status == "succeeded" for row in rows)
        case OperationKind.AUTHORIZE:
            return intent.authorizations > 0
        case OperationKind.UPDATE:
            return operation.session.amount == operation.amount
        case OperationKind.CANCEL:
            return intent.canceled_at is not None and not intent.amount_capturable
    return True
