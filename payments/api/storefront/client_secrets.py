"""The secret that stands for one collection: derived from its id and the project's SECRET_KEY, stored nowhere.

Whoever holds it may see and pay the collection, so a guest needs no account. A changed SECRET_KEY ends it, unless the
old key is among SECRET_KEY_FALLBACKS.
"""

from __future__ import annotations

from typing import Final

from django.core.signing import Signer
from django.utils.crypto import constant_time_compare

HEADER: Final = "Payment-Client-Secret"

_PREFIX: Final = "paycs_"
_SALT: Final = "payments.client_secret"


def client_secret(collection_id: str) -> str:
    """Return the secret of a collection."""
    return _PREFIX + _signer().signature(collection_id)


def is_client_secret(given: str, collection_id: str) -> bool:
    """Tell whether a secret is this collection's, in a time that doesn't depend on how much of it is right."""
    signer = _signer()
    keys = [signer.key, *signer.fallback_keys]
    matches = [
        constant_time_compare(given, _PREFIX + signer.signature(collection_id, key=key)) for key in keys
    ]
    return any(matches)


def _signer() -> Signer:
    return Signer(salt=_SALT, algorithm="sha256")
