"""Who may see what: the customer of a collection, or who sends its secret. Everybody else gets the 404 of nowhere."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from rest_framework.throttling import BaseThrottle

from payments.api import lookups
from payments.api.progress import with_progress
from payments.api.storefront.client_secrets import HEADER, is_client_secret
from payments.api.throttling import storefront_throttles
from payments.api.views import PaymentsView
from payments.conf import storefront_authentication_classes
from payments.models import PaymentCollection, PaymentSession
from payments.services.idempotency import note_access
from payments.states import EventSource


class StorefrontView(PaymentsView):
    """Answer a payer, logged in or not."""

    source = EventSource.STOREFRONT
    is_for_payers = True

    _held: str | None = None
    """The collection whose secret has come along, and which of its secrets."""

    def authentication_paths(self) -> tuple[str, ...] | None:
        """Return what the settings name for the storefront."""
        return storefront_authentication_classes()

    def get_throttles(self) -> list[BaseThrottle]:
        """Return what the settings name against those who test stolen cards."""
        return storefront_throttles()

    def principal(self) -> str | None:
        """Return whose requests these are: a user's, or those of whoever holds the secret that `check_access` has seen.

        What the secret opens stands for it: that stays the same when SECRET_KEY is rotated, and may be written down.
        """
        return super().principal() or (f"holder:{self._held}" if self._held else None)

    def check_access(self, **kwargs: str) -> None:
        """Raise what becomes a 404 unless the collection or session is still the asker's."""
        if "collection_id" in kwargs:
            self.get_collection(kwargs["collection_id"])
        if "session_id" in kwargs:
            self.get_session(kwargs["session_id"])

    def get_collection(self, collection_id: str) -> PaymentCollection:
        """Return a collection with its sessions, if it is the asker's; raise what becomes a 404.

        The sessions are read afterwards, so that somebody else's collection takes no statement more than none.
        """
        found = lookups.find(PaymentCollection.objects.all(), collection_id)
        return with_sessions(self._if_allowed(found, collection_id))

    def get_session(self, session_id: str) -> PaymentSession:
        """Return a session of a collection that is the asker's; raise what becomes a 404."""
        session = load_session(session_id)
        collection = None if session is None else session.collection
        self._if_allowed(collection, session_id)
        if session is None:
            raise lookups.not_found()
        return session

    def _if_allowed(self, collection: PaymentCollection | None, asked_for: str) -> PaymentCollection:
        # The secret is compared in any case, so that the time doesn't tell whether there is such a row.
        key, generation = (
            (asked_for, 0) if collection is None else (collection.pk, collection.secret_generation)
        )
        has_secret = is_client_secret(self.request.headers.get(HEADER, ""), key, generation)
        if collection is None or not (has_secret or self._is_customer(collection)):
            raise lookups.not_found()
        note_access(collection)
        self._held = f"{collection.pk}:{generation}" if has_secret else None
        return collection

    def _is_customer(self, collection: PaymentCollection) -> bool:
        actor = self.actor
        return actor is not None and collection.customer_id is not None and actor.pk == collection.customer_id


def with_sessions(collection: PaymentCollection) -> PaymentCollection:
    """Read a collection's sessions, the oldest first, and return it."""
    rows: Any = with_progress(
        PaymentSession.objects.select_related("authorized_payment").order_by("created_at", "id")
    )
    prefetch_related_objects([collection], Prefetch("sessions", queryset=rows))
    return collection


def load_session(session_id: str) -> PaymentSession | None:
    """Read a session and its collection."""
    return lookups.find(session_rows(), session_id)


def session_rows() -> QuerySet[PaymentSession]:
    """Return sessions with what their output needs."""
    return with_progress(PaymentSession.objects.select_related("collection", "authorized_payment"))
