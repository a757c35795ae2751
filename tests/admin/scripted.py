"""A provider that answers what a test tells it to, and otherwise agrees to everything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, TypeVar, cast

from payments.providers import (
    AuthorizeRequest,
    AuthorizeResult,
    BaseProvider,
    CancelRequest,
    CancelResult,
    CaptureRequest,
    CaptureResult,
    InitiateRequest,
    InitiateResult,
    NoOptions,
    ProviderResult,
    RefundRequest,
    RefundResult,
    RetrieveRequest,
    RetrieveResult,
    UpdateRequest,
    UpdateResult,
)
from payments.states import Outcome

ResultT = TypeVar("ResultT", bound=ProviderResult)

PUBLIC = {"client_token": "tok_public_123"}
PRIVATE = {"client_secret": "sk_private_456"}


class ScriptedProvider(BaseProvider[NoOptions]):
    """Give the answers of `answers` in their order, then agree."""

    verbose_name = "Scripted card"
    moves_real_money = True
    public_data_keys = frozenset({"client_token"})
    input_keys = frozenset({"code"})
    answers: ClassVar[list[ProviderResult | Exception]] = []

    def initiate(self, request: InitiateRequest) -> InitiateResult:
        """Open a session with a public and a private half."""
        return self._answer(
            InitiateResult(
                outcome=Outcome.SUCCEEDED,
                data=PUBLIC,
                provider_data=PRIVATE,
                provider_reference=f"ref-{request.session_id[-8:]}",
            )
        )

    def update(self, request: UpdateRequest) -> UpdateResult:
        """Accept the amount."""
        return self._answer(
            UpdateResult(
                outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
            )
        )

    def authorize(self, request: AuthorizeRequest) -> AuthorizeResult:
        """Hold the amount."""
        return self._answer(
            AuthorizeResult(
                outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
            )
        )

    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Take the amount."""
        return self._answer(
            CaptureResult(
                outcome=Outcome.SUCCEEDED,
                amount=request.amount,
                currency_code=request.currency_code,
                provider_reference=f"cap-{request.capture_id[-8:]}",
                exchange={"request": {"amount": str(request.amount)}, "response": {"status": 200}},
            )
        )

    def refund(self, request: RefundRequest) -> RefundResult:
        """Give back the amount."""
        return self._answer(
            RefundResult(
                outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
            )
        )

    def cancel(self, request: CancelRequest) -> CancelResult:
        """Let go."""
        return self._answer(CancelResult(outcome=Outcome.SUCCEEDED))

    def retrieve(self, request: RetrieveRequest) -> RetrieveResult:
        """Know nothing of the session."""
        return self._answer(RetrieveResult(outcome=Outcome.SUCCEEDED))

    def _answer(self, usual: ResultT) -> ResultT:
        answer = self.answers.pop(0) if self.answers else usual
        if isinstance(answer, Exception):
            raise answer
        return cast("ResultT", answer)


@contextmanager
def answering(*answers: ProviderResult | Exception) -> Iterator[None]:
    """Have the next calls answered with these."""
    ScriptedProvider.answers[:] = answers
    try:
        yield
        assert not ScriptedProvider.answers, "a call that was expected wasn't made"
    finally:
        ScriptedProvider.answers.clear()
