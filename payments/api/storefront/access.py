"""Who may see what: a collection's customer, or whoever sends its secret; everybody else gets the same 404.

A secret is derived from the collection's id and the project's SECRET_KEY, and stored nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from django.core.signing import Signer
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _
from rest_framework.throttling import BaseThrottle

from payments.api.serializers import if_found, not_found
from payments.api.throttling import storefront_throttles
from payments.api.views import PaymentsView
from payments.conf import return_url_origins, storefront_authentication_classes
from payments.exceptions import InputError
from payments.models import PaymentCollection, PaymentSession
from payments.services import reading
from payments.services.idempotency import note_access
from payments.states import EventSource

HEADER: Final = "Payment-Client-Secret"

_PREFIX: Final = "paycs_"
_SALT: Final = "payments.client_secret"

_PORTS: Final = {"http": 80, "https": 443}
# Browsers repair what parsers refuse: a backslash becomes a slash, a tab vanishes. None of that is in an honest URL.
_PLAIN: Final = re.compile(r"https?://[^\s\\\x00-\x20\x7f]+", re.IGNORECASE)


def client_secret(collection_id: str, generation: int = 0) -> str:
    """Return the secret of a collection, of the generation that it is in."""
    return _PREFIX + _signer().signature(_signed(collection_id, generation))


def is_client_secret(given: str, collection_id: str, generation: int = 0) -> bool:
    """Tell whether a secret is this collection's, in a time that doesn't depend on how much of it is right."""
    signer = _signer()
    keys = [signer.key, *signer.fallback_keys]
    signed = _signed(collection_id, generation)
    matches = [constant_time_compare(given, _PREFIX + signer.signature(signed, key=key)) for key in keys]
    return any(matches)


def _signed(collection_id: str, generation: int) -> str:
    return f"{collection_id}:{generation}" if generation else collection_id


def _signer() -> Signer:
    return Signer(salt=_SALT, algorithm="sha256")


class StorefrontView(PaymentsView):
    """A view for payers, logged in or not."""

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
        """Return a collection that is the asker's; raise what becomes a 404."""
        return self._if_allowed(reading.find_collection(collection_id), collection_id)

    def get_session(
        self, session_id: str, find: Callable[[str], PaymentSession | None] = reading.find_session
    ) -> PaymentSession:
        """Return a session of a collection that is the asker's; raise what becomes a 404."""
        session = find(session_id)
        self._if_allowed(None if session is None else session.collection, session_id)
        return if_found(session)

    def _if_allowed(self, collection: PaymentCollection | None, asked_for: str) -> PaymentCollection:
        # The secret is compared in any case, so that the time doesn't tell whether there is such a row.
        key, generation = (
            (asked_for, 0) if collection is None else (collection.pk, collection.secret_generation)
        )
        has_secret = is_client_secret(self.request.headers.get(HEADER, ""), key, generation)
        if collection is None or not (has_secret or self._is_customer(collection)):
            raise not_found()
        note_access(collection)
        self._held = f"{collection.pk}:{generation}" if has_secret else None
        return collection

    def _is_customer(self, collection: PaymentCollection) -> bool:
        actor = self.actor
        return actor is not None and collection.customer_id is not None and actor.pk == collection.customer_id


def check_return_url(url: str, request: HttpRequest) -> str:
    """Return a URL to which a payer may be sent back.

    It is absolute and has the origin (scheme, host and port) of the request, or one of
    `PAYMENTS["RETURN_URL_ORIGINS"]`. Raises InputError (`return_url_not_allowed`).
    """
    own = f"{request.scheme}://{request.get_host()}"
    allowed = {_origin(known) for known in (own, *return_url_origins())}
    origin = _origin(url) if _PLAIN.fullmatch(url) else None
    if origin is None or origin not in allowed:
        raise InputError(
            _(
                "A payer can't be sent there: give an absolute address of this site, or of one of the origins in "
                'PAYMENTS["RETURN_URL_ORIGINS"].'
            ),
            code="return_url_not_allowed",
            field="return_url",
        )
    return url


def _origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port, or None where there is no such thing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port
