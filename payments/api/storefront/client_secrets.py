"""The secret that stands for one collection: derived from its id and the project's SECRET_KEY, stored nowhere.

Whoever holds it may see and pay the collection, so a guest needs no account; the holders of one secret are one person.
The collection's next `secret_generation` ends it, as where what is paid for comes into other hands, and so does a
changed SECRET_KEY, unless the old key is among SECRET_KEY_FALLBACKS.
"""

from __future__ import annotations

from typing import Final

from django.core.signing import Signer
from django.utils.crypto import constant_time_compare

HEADER: Final = "Payment-Client-Secret"

_PREFIX: Final = "paycs_"
_SALT: Final = "payments.client_secret"


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
