"""What a careful person does at the end: deliver what was held back, ask the provider, and decide what is left."""

from __future__ import annotations

import time
from contextlib import suppress

from django.db.models import QuerySet

from payments.exceptions import InputError, TransitionError
from payments.models import Capture, PaymentCollection, PaymentOperation, PaymentSession
from payments.money import ZERO, from_minor_units, to_minor_units
from payments.providers import WebhookRequest
from payments.services import (
    correct_operation,
    process_due_events,
    receive_webhook,
    resolve_operation,
    sync_payment_session,
)
from payments.services.background.inbox import apply_at_once
from payments.simulator import SimulatorService, sign
from payments.simulator.errors import ServiceError
from payments.simulator.records import Intent
from payments.simulator.webhooks import Event
from payments.states import MovementStatus, OperationKind, OperationStatus


def deliver(service: SimulatorService, event: Event) -> None:
    """Deliver one of the simulator's events as it would itself, signed with the time of delivery."""
    body = event.body.encode()
    signature = sign(service.settings.webhook_secrets, body, int(time.time()))
    receipt = receive_webhook(
        "simulator", WebhookRequest(body=body, headers={"simulator-signature": signature})
    )
    apply_at_once(receipt.event)


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


def said_by_persons(session: PaymentSession) -> int:
    """Return what was captured of a session by the word of a person alone, in minor units."""
    rows = Capture.objects.filter(
        payment__session=session, is_by_person=True, status=MovementStatus.SUCCEEDED
    )
    total = sum((row.amount for row in rows), ZERO)
    return to_minor_units(total, session.currency_code) if total else 0


def correct_what_was_said(service: SimulatorService, collection: PaymentCollection) -> None:
    """Have who resolved captures, refunds and holds look into the provider's ledger, and take back what is wrong.

    Where one has the reference of another, that one has to be corrected first.
    """
    said = PaymentOperation.objects.filter(collection=collection, kind__in=("capture", "refund"))
    said = said.exclude(resolution_reason="").order_by("-created_at", "-id")
    for _round in range(2):
        with suppress(InputError):
            _correct_movements(service, said)
    _correct_movements(service, said)
    held = PaymentOperation.objects.filter(collection=collection, kind="authorize")
    for operation in held.exclude(resolution_reason=""):
        say_of_hold(service, operation)


def say_of_hold(
    service: SimulatorService, operation: PaymentOperation, *, has_happened: bool | None = None
) -> None:
    """Have somebody say of an authorization what its provider's ledger says, or something else."""
    held = service.totals(operation.session_id).authorized
    is_said = bool(held) if has_happened is None else has_happened
    verb = resolve_operation if operation.is_open else correct_operation
    try:
        verb(
            operation,
            has_happened=is_said,
            amount=from_minor_units(held, operation.currency_code) if is_said else None,
            reason="The provider's ledger says so.",
            accept_excess=True,
        )
    except TransitionError as error:
        assert error.code in ("nothing_to_correct", "already_recorded"), error


def _correct_movements(service: SimulatorService, said: QuerySet[PaymentOperation]) -> None:
    for operation in said:
        moved = [
            row
            for intent in service.intents(reference=operation.session_id)
            for row in intent.movements
            if row.reference == operation.pk and row.status == "succeeded"
        ]
        try:
            correct_operation(
                operation,
                has_happened=bool(moved),
                amount=from_minor_units(moved[0].amount, operation.currency_code) if moved else None,
                provider_reference=moved[0].id if moved else None,
                reason="The provider's ledger says so.",
                accept_excess=True,
            )
        except TransitionError as error:
            assert error.code in ("nothing_to_correct", "already_recorded"), error


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
