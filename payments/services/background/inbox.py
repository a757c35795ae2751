"""The inbox: provider events are verified, stored, answered, and then applied, each of them once.

An event is stored before it is answered, so it can't be lost, and it is marked as applied in the transaction that
changes the books, so it can't be applied twice.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from django.db import DataError, IntegrityError
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import (
    NotFoundError,
    NotSupportedError,
    OperationInProgressError,
    PaymentError,
    ProviderUnavailableError,
    WebhookVerificationError,
)
from payments.models import Capture, PaymentSession, Refund, WebhookEvent
from payments.providers import (
    BaseProvider,
    SessionFact,
    WebhookRequest,
    WebhookResult,
    decode_fact,
    encode_fact,
    get_provider,
)
from payments.providers.calls import UnusableAnswerError, check_usable
from payments.providers.circuits import circuits
from payments.providers.public_data import publishable_fact
from payments.providers.registry import is_refused
from payments.redaction import redact
from payments.services.collections import fit_outgrown
from payments.services.ledger.books import Books, Scope, keep
from payments.services.ledger.calls import retrieve
from payments.services.ledger.facts import other_reference, record_fact
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import (
    RETRIES,
    LeaseLostError,
    database_alias,
    lease_rows,
    leased_rows,
    new_owner,
    release_rows,
    repeated,
)
from payments.services.ledger.operations import survived
from payments.services.ledger.statements import update
from payments.services.providers import provider_row
from payments.services.sessions import authorize_payment_session
from payments.states import (
    EventSource,
    MovementStatus,
    OperationKind,
    OperationStatus,
    SessionStatus,
    WebhookEventStatus,
)
from payments.stored import stored_moment

logger = logging.getLogger("payments.webhooks")

PAUSES: Final = (timedelta(seconds=10), *RETRIES)
"""The pauses before each try of a worker. The first one leaves time to the request that delivers the event."""

MAX_ID: Final = 255
"""The maximum length of a provider's ids, in characters."""

_MOVED: Final = (
    "status",
    "session_id",
    "attempts",
    "detail",
    "lease_owner",
    "lease_expires_at",
    "next_attempt_at",
    "applied_at",
    "updated_at",
)
"""The fields that a transition of an event may change."""

Status = WebhookEventStatus
Progress = Callable[[WebhookEvent], None]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The stored event of a delivery, and whether this was its first delivery."""

    event: WebhookEvent
    is_new: bool


def receive_webhook(provider_id: str, request: WebhookRequest) -> Receipt:
    """Verify and store a provider's delivery; an unverified delivery isn't stored.

    Raises NotFoundError for an unknown provider, WebhookVerificationError, ProviderUnavailableError if the delivery
    can't be verified right now, and NotSupportedError if the provider sends no events.
    """
    provider = get_provider(provider_id)
    if is_refused(provider) or not provider.supports_webhooks:
        raise NotSupportedError(f"The provider {provider_id} sends no webhooks.", field=None)
    event = _event_of(provider, request)
    if event.session is None:  # A session has brought the provider's row along.
        provider_row(provider_id)
    try:
        repeated(lambda: event.save(force_insert=True))
    except IntegrityError:
        known = WebhookEvent.objects.get(provider=provider_id, event_id=event.event_id)
        return Receipt(event=known, is_new=False)
    except DataError as error:
        # The database can't store one of its characters, and a retry wouldn't change that.
        raise _malformed() from error
    return Receipt(event=event, is_new=True)


def process_event(
    event: WebhookEvent,
    *,
    origin: Origin | None = None,
    owner: str | None = None,
    may_call_provider: bool = True,
) -> WebhookEvent:
    """Apply a stored event that wasn't applied yet: its own fact, or the provider's answer about its session.

    The provider is asked if the event has no fact, and if its fact contradicts what is recorded: then only the provider
    knows which of the two is older. If the event is about several sessions, the provider is asked about the others
    first. A session that only waits for its authorization is authorized.

    An event that requires a call stays unchanged unless `may_call_provider`. `owner` is the worker that has leased the
    event; if it has lost the lease, LeaseLostError is raised and nothing is recorded.
    """
    applied = _apply(event, origin=origin, owner=owner, may_call_provider=may_call_provider)
    session = applied.session
    if applied.status == Status.APPLIED and session is not None and _has_others(session):
        # Even in the request that delivers the event: a browser may be about to confirm a session that is too large.
        fit_outgrown(session.collection_id)
    return applied


def _has_others(session: PaymentSession) -> bool:
    others = PaymentSession.objects.filter(collection=session.collection_id).exclude(pk=session.pk)
    return others.unauthorized().exists()


def _apply(
    event: WebhookEvent, *, origin: Origin | None, owner: str | None, may_call_provider: bool
) -> WebhookEvent:
    sessions = _sessions_of(event)
    if not sessions:
        return _defer_or_ignore(event, owner)
    origin, session = origin or Origin(source=EventSource.WEBHOOK), sessions[0]
    if not _is_believed(session):
        return _move_on(event, lambda row: row.ignore(detail="pretend money"), owner)
    fact = _fact_of(event)
    is_asked = fact is None or _may_be_outdated(session, fact)
    if not may_call_provider and (is_asked or event.other_captures or _awaits_authorization(fact)):
        return event
    if not all(_is_looked_up(other, origin) for other in sessions[1:]):
        return _defer(event, detail="retrieve: another of its sessions", owner=owner)
    asked_at = None
    if is_asked:
        moment, answer = timezone.now(), retrieve(session)
        if answer.fact is None and (fact is None or event.attempts < len(PAUSES) - 1):
            # “Not found” may be stale: the provider has just sent an event about this session.
            return _defer(event, detail=f"retrieve: {answer.outcome}", owner=owner)
        fact, asked_at = (answer.fact, moment) if answer.fact is not None else (fact, None)
    if fact is not None:
        _authorize_approved(session, fact, origin=origin)
        record_fact(
            session,
            fact,
            origin=origin,
            ending=lambda recorded: _mark_applied(event, recorded, owner),
            asked_at=asked_at,
        )
        event.refresh_from_db()
    return event


def apply_at_once(event: WebhookEvent) -> None:
    """Apply an event in the request that delivers it, unless that requires a call, which is left to a worker."""
    if event.fact is None or event.status != Status.RECEIVED:
        return
    try:
        process_event(event, may_call_provider=False)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:
        logger.exception("The webhook event %s is left to the worker.", event.pk)


def process_due_events(
    *, limit: int = 100, owner: str | None = None, progress: Progress | None = None
) -> int:
    """Apply up to `limit` due events; return how many there were. Several workers may run at the same time.

    The events of a provider that leaves calls unanswered are left for later.
    """
    owner = owner or new_owner()
    with circuits() as circuit:
        events = lease_rows(_due().exclude(provider__in=circuit.open()), owner=owner, limit=limit)
        left: list[WebhookEvent] = []
        for event in leased_rows(circuit.answering(events, left)):
            _process_safely(event, progress)
        release_rows(left)
    return len(events) - len(left)


def replay_webhook_event(
    event: WebhookEvent, *, actor: Actor = None, source: str = EventSource.SHOP, by_payer: bool = False
) -> WebhookEvent:
    """Apply a stored event again, whatever its status; this is harmless, since facts only move forward.

    The history of the event's session records who requested it. If the event has no fact, the provider is asked, and
    an error of that call is raised.
    """
    origin = Origin.of_shop(actor=actor, source=source, by_payer=by_payer)
    event.attempts = 0
    WebhookEvent.objects.filter(pk=event.pk).update(attempts=0, updated_at=timezone.now())
    process_event(event, origin=origin)
    if event.session is not None:
        _note_replay(event, event.session, origin)
    return event


def _process_safely(event: WebhookEvent, progress: Progress | None) -> None:
    """Apply a leased event; put it back and log the error if that raises."""
    lease = str(event.lease_owner)
    error = survived(lambda: process_event(event, owner=lease))
    if isinstance(error, LeaseLostError):
        return
    if error is not None:
        later = survived(lambda: _put_back(event, error, lease))
        if later is not None:
            logger.error("%s keeps its lease until that expires.", event.pk, exc_info=later)
    if isinstance(error, KeyboardInterrupt):
        raise error
    if progress is not None:
        progress(event)


def _event_of(provider: BaseProvider[Any], request: WebhookRequest) -> WebhookEvent:
    """Return an unsaved row for a delivery; if it has a fact, a worker leaves it to the receiving request at first."""
    with _proving(provider):
        result = _parsed(provider, request)
    session = PaymentSession.objects.filter(pk=result.session_id or "", provider=provider.alias).first()
    with _proving(provider):
        return _row_of(provider, result, session)


@contextmanager
def _proving(provider: BaseProvider[Any]) -> Iterator[None]:
    """Raise WebhookVerificationError for any error while a delivery is read, in the plug-in or here."""
    try:
        yield
    except (PaymentError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # The exception's text may quote the body, so only its type and place are logged.
        place = traceback.extract_tb(error.__traceback__)[-1]
        logger.error(
            "The provider %s could not read an event: %s in %s, line %s.",
            provider.alias,
            type(error).__qualname__,
            place.name,
            place.lineno,
        )
        raise _malformed() from error


def _parsed(provider: BaseProvider[Any], request: WebhookRequest) -> WebhookResult:
    """Have a plug-in verify and translate a delivery; raise if the result can't be stored."""
    result: object = provider.parse_webhook(request)
    if not isinstance(result, WebhookResult):
        raise _malformed()
    try:
        check_usable(result)
    except UnusableAnswerError as error:
        logger.error("The provider %s made of an event what can't be used: %s.", provider.alias, error.where)
        raise _malformed() from error
    if not 0 < len(result.event_id) <= MAX_ID:
        # Events without an id would all count as copies of one another.
        raise _malformed()
    return result


def _malformed() -> WebhookVerificationError:
    return WebhookVerificationError(_("The event is malformed."), code="webhook_malformed")


def _row_of(
    provider: BaseProvider[Any], result: WebhookResult, session: PaymentSession | None
) -> WebhookEvent:
    fact = None if result.fact is None else encode_fact(_publishable(provider, result.fact, session))
    return WebhookEvent(
        provider_id=provider.alias,
        event_id=result.event_id,
        type=result.event_type[:128],
        session=session,
        provider_reference=result.provider_reference,
        payload=redact(result.payload),
        reported_session_id=result.session_id,
        capture_reference=result.capture_reference,
        other_captures=list(result.other_captures),
        fact=fact,
        occurred_at=None if result.occurred_at is None else stored_moment(result.occurred_at),
        next_attempt_at=timezone.now() + (PAUSES[0] if fact else timedelta(0)),
    )


def _publishable(
    provider: BaseProvider[Any], fact: SessionFact, session: PaymentSession | None
) -> SessionFact:
    if session is None:
        return publishable_fact(provider, fact)
    known = (session.pk, session.collection_id, session.provider_reference)
    return publishable_fact(provider, fact, session.provider_data, known=known)


def _due() -> QuerySet[WebhookEvent]:
    """Return the due events in the order of their index, so that a batch reads no more rows than it takes."""
    waiting = Q(status__in=[Status.RECEIVED, Status.DEFERRED], next_attempt_at__lte=timezone.now())
    return WebhookEvent.objects.filter(waiting).order_by("status", "next_attempt_at")


def _sessions_of(event: WebhookEvent) -> list[PaymentSession]:
    """Return the sessions that an event is about, the one that it names first."""
    sessions = _sessions(event)
    others = (_with_capture(sessions, reference) for reference in event.other_captures)
    found = {row.pk: row for row in (_session_of(event), *others) if row is not None}
    return list(found.values())


def _sessions(event: WebhookEvent) -> QuerySet[PaymentSession]:
    """Return the sessions that an event can be about: those of the same provider."""
    return PaymentSession.objects.select_related("collection").filter(provider=event.provider_id)


def _session_of(event: WebhookEvent) -> PaymentSession | None:
    """Return the session that an event names: by id, by its provider reference, or by a capture's; else None."""
    if event.session is not None:
        return event.session
    sessions = _sessions(event)
    if event.reported_session_id:
        return sessions.filter(pk=event.reported_session_id).first()
    return _by_reference(sessions, event) or _with_capture(sessions, event.capture_reference)


def _by_reference(sessions: QuerySet[PaymentSession], event: WebhookEvent) -> PaymentSession | None:
    if not event.provider_reference:
        return None
    return sessions.filter(provider_reference=event.provider_reference).first()


def _with_capture(sessions: QuerySet[PaymentSession], reference: str | None) -> PaymentSession | None:
    """Return the only session that has a capture with a reference; None if several have one, as any may be meant."""
    if not reference:
        return None
    captures = Capture.objects.filter(provider_reference=reference)
    found = sessions.filter(pk__in=captures.values("payment__session"))[:2]
    return found[0] if len(found) == 1 else None


def _is_looked_up(session: PaymentSession, origin: Origin) -> bool:
    """Ask the provider about a session and record its fact; return whether it reported one."""
    asked_at, fact = timezone.now(), retrieve(session).fact
    if fact is not None:
        record_fact(session, fact, origin=origin, asked_at=asked_at)
    return fact is not None


def _fact_of(event: WebhookEvent) -> SessionFact | None:
    if event.fact is None:
        return None
    fact = decode_fact(event.fact)
    return fact if fact.provider_reference else replace(fact, provider_reference=event.provider_reference)


def _awaits_authorization(fact: SessionFact | None) -> bool:
    return fact is not None and fact.awaits_authorization


def _may_be_outdated(session: PaymentSession, fact: SessionFact) -> bool:
    """Return whether a fact reports a success that has ended since in the books, and its provider can be asked."""
    if session.status == SessionStatus.CANCELED and fact.status == SessionStatus.AUTHORIZED:
        is_in_doubt = not session.is_held
    else:
        succeeded = [row for row in fact.movements if row.status == MovementStatus.SUCCEEDED]
        references = [row.provider_reference for row in succeeded if row.provider_reference]
        refunds = Refund.objects
        failed = refunds.filter(payment__session=session, status=MovementStatus.FAILED)
        is_in_doubt = failed.filter(provider_reference__in=references).exists()
    return is_in_doubt and _can_be_asked(session)


def _is_believed(session: PaymentSession) -> bool:
    """Return whether a session's provider is trusted; one that has left the settings is."""
    try:
        return not is_refused(get_provider(session.provider_id))
    except NotFoundError:
        return True


def _can_be_asked(session: PaymentSession) -> bool:
    try:
        return get_provider(session.provider_id).supports_retrieve
    except NotFoundError:
        return False


def _authorize_approved(session: PaymentSession, fact: SessionFact, *, origin: Origin) -> None:
    """Authorize a session whose payer has approved it at the provider, according to a fact.

    The outcome is in the books, and the reconciler follows up an unknown one. A session that can no longer be
    authorized, or whose authorization the provider has accepted already, is left unchanged. Raises
    ProviderUnavailableError and OperationInProgressError, after which the event has to be tried again.
    """
    is_ours = other_reference(session, fact.provider_reference) is None
    if not (fact.awaits_authorization and session.is_unauthorized and is_ours):
        return
    accepted = session.operations.filter(kind=OperationKind.AUTHORIZE, status=OperationStatus.PENDING)
    if accepted.exists():
        return
    try:
        authorize_payment_session(session, actor=origin.actor, source=origin.source)
    except (OperationInProgressError, ProviderUnavailableError):
        raise
    except PaymentError as error:
        logger.info("The approved session %s isn't authorized: %s", session.pk, error.code)


def _mark_applied(event: WebhookEvent, session: PaymentSession, owner: str | None) -> None:
    """Mark an event as applied, in the transaction that records its fact."""
    _move(event, lambda row: row.apply(session=session), owner)


def _defer_or_ignore(event: WebhookEvent, owner: str | None) -> WebhookEvent:
    """Defer an event that may be early; ignore one that names a session which isn't ours."""
    is_nameless = not (event.provider_reference or event.capture_reference)
    is_foreign = bool(event.reported_session_id) or is_nameless
    if is_foreign or event.attempts >= len(PAUSES) - 1:
        return _move_on(event, lambda row: row.ignore(detail="foreign"), owner)
    return _defer(event, detail="no session yet", owner=owner)


def _put_back(event: WebhookEvent, error: BaseException, owner: str) -> None:
    """Schedule the retry of an event whose application raised."""
    logger.warning("The webhook event %s failed.", event.pk, exc_info=error)
    event.refresh_from_db()
    if event.lease_owner == owner:
        _defer(
            event,
            detail=error.code if isinstance(error, PaymentError) else type(error).__qualname__,
            owner=owner,
        )


def _defer(event: WebhookEvent, *, detail: str, owner: str | None) -> WebhookEvent:
    """Schedule an event's retry; after the last one the event has failed, and an operator may replay it."""

    def step(row: WebhookEvent) -> None:
        row.attempts += 1
        if row.attempts < len(PAUSES):
            row.defer(until=timezone.now() + PAUSES[row.attempts], detail=detail)
        else:
            row.fail(detail=detail)

    return _move_on(event, step, owner)


def _move_on(event: WebhookEvent, step: Progress, owner: str | None) -> WebhookEvent:
    """Apply a transition to a stored event unless another process was first; return the updated event."""
    with suppress(LeaseLostError):
        _move(event, step, owner, status=event.status, attempts=event.attempts)
    event.refresh_from_db()
    return event


def _move(event: WebhookEvent, step: Progress, owner: str | None, **guard: Any) -> None:
    """Apply a transition to a stored event and end its lease; raise LeaseLostError if another worker has it."""
    moved = copy(event)  # The transaction may still be rolled back.
    step(moved)
    moved.updated_at = timezone.now()
    if owner is not None:
        guard["lease_owner"] = owner
    if not update(database_alias(), moved, _MOVED, **guard):
        raise LeaseLostError(event.pk)


def _note_replay(event: WebhookEvent, session: PaymentSession, origin: Origin) -> None:
    def rule(books: Books) -> None:
        books.note(
            "webhook.replayed",
            books.session(session.pk),
            data={"event_id": event.event_id, "type": event.type},
        )

    keep(session.collection_id, rule, origin=origin, scope=Scope())
