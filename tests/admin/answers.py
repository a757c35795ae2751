"""What the scripted provider of the admin's tests answers: data with a public and a private half first of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from payments.providers import CaptureRequest, CaptureResult, InitiateRequest, InitiateResult, ProviderResult
from payments.states import Outcome
from payments.testing import Script

PUBLIC: Final = {"client_token": "tok_public_123"}
PRIVATE: Final = {"client_secret": "sk_private_456"}

SCRIPT: Final = Script()

CARD: Final[dict[str, Any]] = {
    "BACKEND": "payments.testing.scripted.ScriptedProvider",
    "OPTIONS": {"script": SCRIPT},
}


@contextmanager
def answering(*answers: ProviderResult | Exception) -> Iterator[None]:
    """Have the next calls of any verb answered with these."""
    SCRIPT.next("*", *answers)
    try:
        yield
        assert not SCRIPT.unused, "a call that was expected wasn't made"
    finally:
        SCRIPT.clear()


def _opened(request: InitiateRequest) -> InitiateResult:
    return InitiateResult(
        outcome=Outcome.SUCCEEDED,
        data=PUBLIC,
        provider_data=PRIVATE,
        provider_reference=f"ref-{request.session_id[-8:]}",
    )


def _captured(request: CaptureRequest) -> CaptureResult:
    return CaptureResult(
        outcome=Outcome.SUCCEEDED,
        amount=request.amount,
        currency_code=request.currency_code,
        provider_reference=f"cap-{request.capture_id[-8:]}",
        provider_log={"request": {"amount": str(request.amount)}, "response": {"status": 200}},
    )


SCRIPT.always("initiate", _opened)
SCRIPT.always("capture", _captured)
