"""The inbox: provider events are verified, stored, answered, and then applied, each of them once.

Storing comes before answering, so an answered event can't be lost; applying marks the event in the same transaction as
the books. An event that comes early waits; one that isn't ours is kept, and changes nothing.
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
    NotSupportedError,
    OperationInProgressError,
    PaymentError,
    ProviderUnavailableError,
    WebhookVerificationError,
)
from payments.models import Capture, PaymentSession, Refund, WebhookEvent
from payments.moments import stored_moment
from payments.providers import (
    BaseProvider,
    SessionFact,
    WebhookRequest,
    WebhookResult,
    decode_fact,
    encode_fact,
    get_provider,
)
from payments.providers.publishing import publishable_fact
from payments.providers.registry import is_refused
from payments.providers.validation import UnusableAnswerError, check_usable
from payments.redaction import redact
from payments.services.ledger.books import Books, Scope, keep
from payments.services.ledger.calls import provider_for, retrieve
from payments.services.ledger.facts import other_reference, record_fact
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import (
    RETRIES,
    LeaseLostError,
    database_alias,
    lease_rows,
    leased_rows,
    new_owner,
    repeated,
)
from payments.services.ledger.operations import is_held, survived
from payments.services.ledger.payers import origin_of_shop
from payments.services.ledger.statements import update
from payments.services.providers import provider_row
from payments.services.sessions import authorize_payment_session
from payments.states import EventSource, MovementStatus, SessionStatus, WebhookEventStatus

logger = logging.getLogger("payments.webhooks")

PAUSES: Final = (timedelta(seconds=10), *RETRIES)
"""How long an event waits before each try: first for the request that delivers it, which applies it if it can."""

MAX_ID: Final = 255
"""No provider's ids are longer, in characters."""

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
"""What a step of an event may change."""

Status = WebhookEventStatus
Progress = Callable[[WebhookEvent], None]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The stored event that a delivery is, and whether it was the first of it."""

    event: WebhookEvent
    is_new: bool


def receive_webhook(provider_id: str, request: WebhookRequest) -> Receipt:
    """Verify and store what a provider delivered; nothing that isn't proven is stored.

    Raises NotFoundError for an unknown provider, WebhookVerificationError, ProviderUnavailableError where it can't be
    verified right now, and NotSupportedError where the provider sends no events.
    """
    provider = get_provider(provider_id)
    if is_refused(provider) or not provider.supports_webhooks:
        raise NotSupportedError(f"The provider {provider_id} sends no webhooks.", field=None)
    event = _event_of(provider, request)
    provider_row(provider_id)
    try:
        repeated(lambda: event.save(force_insert=True))
    except IntegrityError:
        known = WebhookEvent.objects.get(provider=provider_id, event_id=event.event_id)
        return Receipt(event=known, is_new=False)
    except DataError as error:
        # A character that the database can't hold won't be one the next time either.
        raise _malformed() from error
    return Receipt(event=event, is_new=True)


def process_event(
    event: WebhookEvent,
    *,
    origin: Origin | None = None,
    owner: str | None = None,
    may_call_provider: bool = True,
) -> WebhookEvent:
    """Apply a stored event that wasn't yet: its own fact, or what the provider says when asked.

    It is asked where the event carries no fact, and where the fact would take back what is recorded: then only the
    provider knows which of the two is older. A session that only waits to be authorized is authorized. An event that
    takes such a call stays as it is unless `may_call_provider`. `owner` is the worker that has leased the event. Raises
    LeaseLostError, with nothing recorded, where that has lost it. Where the event is about several sessions, the
    provider is asked about the others first.
    """
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
    if is_asked:
        answer = retrieve(session)
        if answer.fact is None and (fact is None or event.attempts < len(PAUSES) - 1):
            # “Not found” may only be behind: the provider has just told us of this session.
            return _defer(event, detail=f"retrieve: {answer.outcome}", owner=owner)
        fact = answer.fact or fact
    if fact is not None:
        _authorize_approved(session, fact, origin=origin)
        record_fact(
            session, fact, origin=origin, ending=lambda recorded: _mark_applied(event, recorded, owner)
        )
        event.refresh_from_db()
    return event


def apply_at_once(event: WebhookEvent) -> None:
    """Apply an event in the request that delivers it; what takes a call to its provider is left to a worker."""
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
    """Apply up to `limit` stored events that are due; return how many there were. Workers may run side by side."""
    owner = owner or new_owner()
    events = lease_rows(_due(), owner=owner, limit=limit)
    for event in leased_rows(events):
        lease = str(event.lease_owner)
        error = survived(lambda: process_event(event, owner=lease))  # noqa: B023 - runs at once
        if isinstance(error, LeaseLostError):
            continue
        if error is not None:
            later = survived(lambda: _put_back(event, error, lease))  # noqa: B023 - as above
            if later is not None:
                logger.error("%s keeps its lease until that expires.", event.pk, exc_info=later)
        if isinstance(error, KeyboardInterrupt):
            raise error
        if progress is not None:
            progress(event)
    return len(events)


def replay_webhook_event(
    event: WebhookEvent, *, actor: Actor = None, source: str = EventSource.SHOP, by_payer: bool = False
) -> WebhookEvent:
    """Apply a stored event again, whatever became of it before; facts only move forward, so this does no harm.

    The history of the event's session says who asked for it. Raises what asking the provider does, where the event
    carries no fact of its own.
    """
    origin = origin_of_shop(actor=actor, source=source, by_payer=by_payer)
    event.attempts = 0
    WebhookEvent.objects.filter(pk=event.pk).update(attempts=0, updated_at=timezone.now())
    process_event(event, origin=origin)
    if event.session is not None:
        _note_replay(event, event.session, origin)
    return event


def _event_of(provider: BaseProvider[Any], request: WebhookRequest) -> WebhookEvent:
    """Return the row that keeps what is delivered; one that carries its fact is the receiver's to apply first."""
    with _proving(provider):
        result = _parsed(provider, request)
    session = PaymentSession.objects.filter(pk=result.session_id or "", provider=provider.alias).first()
    with _proving(provider):
        return _row_of(provider, result, session)


@contextmanager
def _proving(provider: BaseProvider[Any]) -> Iterator[None]:
    """Have nothing be proven by a delivery that can't be read, whatever goes wrong, in the plug-in or here."""
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
    """Have a plug-in prove and translate a delivery; raise where that comes to nothing that can be kept."""
    result: object = provider.parse_webhook(request)
    if not isinstance(result, WebhookResult):
        raise _malformed()
    try:
        check_usable(result)
    except UnusableAnswerError as error:
        logger.error("The provider %s made of an event what can't be used: %s.", provider.alias, error.where)
        raise _malformed() from error
    if not 0 < len(result.event_id) <= MAX_ID:
        # One without an id would pass for a copy of the last such.
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
    waiting = Q(status__in=[Status.RECEIVED, Status.DEFERRED], next_attempt_at__lte=timezone.now())
    return WebhookEvent.objects.filter(waiting).order_by("created_at", "id")


def _sessions_of(event: WebhookEvent) -> list[PaymentSession]:
    """Find the sessions that an event is about, the one that it names itself first."""
    sessions = _sessions(event)
    others = (_with_capture(sessions, reference) for reference in event.other_captures)
    found = {row.pk: row for row in (_session_of(event), *others) if row is not None}
    return list(found.values())


def _sessions(event: WebhookEvent) -> QuerySet[PaymentSession]:
    """Return the sessions that an event can be about: only ever those of the same provider."""
    return PaymentSession.objects.select_related("collection").filter(provider=event.provider_id)


def _session_of(event: WebhookEvent) -> PaymentSession | None:
    """Find the session that an event names first of all."""
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
    """Find the one session that has a capture of this name: where several have, it is none's."""
    if not reference:
        return None
    captures = Capture.objects.filter(provider_reference=reference)
    found = sessions.filter(pk__in=captures.values("payment__session"))[:2]
    return found[0] if len(found) == 1 else None


def _is_looked_up(session: PaymentSession, origin: Origin) -> bool:
    """Record what the provider says of a session; return whether it says anything."""
    fact = retrieve(session).fact
    if fact is not None:
        record_fact(session, fact, origin=origin)
    return fact is not None


def _fact_of(event: WebhookEvent) -> SessionFact | None:
    if event.fact is None:
        return None
    fact = decode_fact(event.fact)
    return fact if fact.provider_reference else replace(fact, provider_reference=event.provider_reference)


def _awaits_authorization(fact: SessionFact | None) -> bool:
    return fact is not None and fact.awaits_authorization


def _may_be_outdated(session: PaymentSession, fact: SessionFact) -> bool:
    """Return whether a fact tells of a success where a later end is recorded, and its provider can be asked."""
    if session.status == SessionStatus.CANCELED and fact.status == SessionStatus.AUTHORIZED:
        is_in_doubt = not is_held(session)
    else:
        succeeded = [row for row in fact.movements if row.status == MovementStatus.SUCCEEDED]
        references = [row.provider_reference for row in succeeded if row.provider_reference]
        refunds = Refund.objects
        failed = refunds.filter(payment__session=session, status=MovementStatus.FAILED)
        is_in_doubt = failed.filter(provider_reference__in=references).exists()
    return is_in_doubt and _can_be_asked(session)


def _is_believed(session: PaymentSession) -> bool:
    """Return whether what a session's provider says counts; also of one that has left the settings since."""
    try:
        return not is_refused(provider_for(session))
    except ProviderUnavailableError:
        return True


def _can_be_asked(session: PaymentSession) -> bool:
    try:
        return provider_for(session).supports_retrieve
    except ProviderUnavailableError:
        return False


def _authorize_approved(session: PaymentSession, fact: SessionFact, *, origin: Origin) -> None:
    """Authorize a session whose payer has done their part at the provider's own place, as the provider reports.

    What comes of that is in the books, and the reconciler sees to an unknown outcome. A session that can't be
    authorized any more is left as it is. Raises ProviderUnavailableError and OperationInProgressError: it has to be
    tried again.
    """
    is_ours = other_reference(session, fact.provider_reference) is None
    if not (fact.awaits_authorization and session.is_unauthorized and is_ours):
        return
    try:
        authorize_payment_session(session, actor=origin.actor, source=origin.source)
    except (OperationInProgressError, ProviderUnavailableError):
        raise
    except PaymentError as error:
        logger.info("The approved session %s isn't authorized: %s", session.pk, error.code)


def _mark_applied(event: WebhookEvent, session: PaymentSession, owner: str | None) -> None:
    """Note on a stored event, in the transaction that records it, that what it states is in the books."""
    _move(event, lambda row: row.apply(session=session), owner)


def _defer_or_ignore(event: WebhookEvent, owner: str | None) -> WebhookEvent:
    """Let an event wait that may be early; ignore one that names a session which isn't ours."""
    is_nameless = not (event.provider_reference or event.capture_reference)
    is_foreign = bool(event.reported_session_id) or is_nameless
    if is_foreign or event.attempts >= len(PAUSES) - 1:
        return _move_on(event, lambda row: row.ignore(detail="foreign"), owner)
    return _defer(event, detail="no session yet", owner=owner)


def _put_back(event: WebhookEvent, error: BaseException, owner: str) -> None:
    """Try an event again later whose application has failed, in whatever way."""
    logger.warning("The webhook event %s failed.", event.pk, exc_info=error)
    event.refresh_from_db()
    if event.lease_owner == owner:
        _defer(
            event,
            detail=error.code if isinstance(error, PaymentError) else type(error).__qualname__,
            owner=owner,
        )


def _defer(event: WebhookEvent, *, detail: str, owner: str | None) -> WebhookEvent:
    """Try an event again later; after the last time it counts as failed, and an operator may replay it."""

    def step(row: WebhookEvent) -> None:
        row.attempts += 1
        if row.attempts < len(PAUSES):
            row.defer(until=timezone.now() + PAUSES[row.attempts], detail=detail)
        else:
            row.fail(detail=detail)

    return _move_on(event, step, owner)


def _move_on(event: WebhookEvent, step: Progress, owner: str | None) -> WebhookEvent:
    """Take a stored event a step further, unless somebody else has done so meanwhile; return it as it is then."""
    with suppress(LeaseLostError):
        _move(event, step, owner, status=event.status, attempts=event.attempts)
    event.refresh_from_db()
    return event


def _move(event: WebhookEvent, step: Progress, owner: str | None, **guard: Any) -> None:
    """Take a stored event a step further and end its lease; raise LeaseLostError where it is another's by now."""
    moved = copy(event)  # What is written here may be undone.
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
