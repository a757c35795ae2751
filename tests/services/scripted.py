"""A provider that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, TypeVar, cast

from payments.providers import (
    AuthorizeRequest,
    AuthorizeResult,
    BaseProvider,
    CancelRequest,
    CancelResult,
    CaptureRequest,
    CaptureResult,
    Failure,
    InitiateRequest,
    InitiateResult,
    NextAction,
    ProviderResult,
    RefundRequest,
    RefundResult,
    RetrieveRequest,
    RetrieveResult,
    SessionFact,
    UpdateRequest,
    UpdateResult,
)
from payments.providers.base import NoOptions
from payments.states import Outcome

ResultT = TypeVar("ResultT", bound=ProviderResult)

Answer = ProviderResult | BaseException | Callable[[Any], Any]

CHALLENGE = NextAction(type="redirect", url="https://bank.example/3ds")


@dataclass
class Script:
    """Hold what one provider will answer, and what it was asked so far; `step` is of what it takes multiples only."""

    answers: defaultdict[str, deque[Answer]] = field(default_factory=lambda: defaultdict(deque))
    requests: list[tuple[str, Any]] = field(default_factory=list)
    capabilities: dict[str, bool] = field(default_factory=dict)
    step: Decimal | None = None

    def will(self, verb: str, *answers: Answer) -> None:
        """Queue what the next calls of a verb answer, raise, or compute from the request."""
        self.answers[verb].extend(answers)

    def asked(self, verb: str) -> list[Any]:
        """Return the requests of one verb, in their order."""
        return [request for name, request in self.requests if name == verb]

    @property
    def verbs(self) -> list[str]:
        """The verbs that were called, in their order."""
        return [name for name, _request in self.requests]


SCRIPTS: defaultdict[str, Script] = defaultdict(Script)


class ScriptedProvider(BaseProvider[NoOptions]):
    """Do what the script says, and otherwise succeed with what was asked."""

    moves_real_money = True
    public_data_keys: ClassVar[frozenset[str]] = frozenset({"client_token"})
    input_keys: ClassVar[frozenset[str]] = frozenset({"card_token", "code"})

    @property
    def script(self) -> Script:
        """The script of the provider, which lives longer than a test."""
        return SCRIPTS[self.alias]

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("supports_"):
            return self.script.capabilities.get(name, getattr(type(self), name))
        return super().__getattribute__(name)

    def amount_step(self, currency_code: str) -> Decimal:
        """Return the step that the script has, or the usual one."""
        return self.script.step or super().amount_step(currency_code)

    def initiate(self, request: InitiateRequest) -> InitiateResult:
        """Answer as scripted, or with a token and a reference."""
        default = InitiateResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=f"intent_{request.session_id}",
            data={"client_token": f"token_{request.session_id}"},
            provider_data={"secret": "s3cr3t"},
        )
        return self._answer("initiate", request, default)

    def update(self, request: UpdateRequest) -> UpdateResult:
        """Answer as scripted, or with what was asked."""
        return self._answer("update", request, UpdateResult(**_echo(request)))

    def authorize(self, request: AuthorizeRequest) -> AuthorizeResult:
        """Answer as scripted, or with what was asked."""
        return self._answer("authorize", request, AuthorizeResult(**_echo(request)))

    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Answer as scripted, or with what was asked."""
        return self._answer("capture", request, CaptureResult(**_echo(request)))

    def refund(self, request: RefundRequest) -> RefundResult:
        """Answer as scripted, or with what was asked."""
        return self._answer("refund", request, RefundResult(**_echo(request)))

    def cancel(self, request: CancelRequest) -> CancelResult:
        """Answer as scripted, or agree."""
        return self._answer("cancel", request, CancelResult(outcome=Outcome.SUCCEEDED))

    def retrieve(self, request: RetrieveRequest) -> RetrieveResult:
        """Answer as scripted, or know nothing of the session."""
        return self._answer("retrieve", request, RetrieveResult(outcome=Outcome.SUCCEEDED))

    def _answer(self, verb: str, request: Any, default: ResultT) -> ResultT:
        self.script.requests.append((verb, request))
        answer: Any = self.script.answers[verb].popleft() if self.script.answers[verb] else default
        if isinstance(answer, BaseException):
            raise answer
        return cast(ResultT, answer(request) if callable(answer) else answer)


def _echo(request: Any) -> dict[str, Any]:
    return {
        "outcome": Outcome.SUCCEEDED,
        "amount": request.amount,
        "currency_code": request.currency_code,
    }


def authorized(
    amount: str, *, currency_code: str = "eur", captured: str = "0", **more: Any
) -> AuthorizeResult:
    """Return the answer that this much is held."""
    return AuthorizeResult(
        outcome=Outcome.SUCCEEDED,
        amount=Decimal(amount),
        currency_code=currency_code,
        captured_amount=Decimal(captured),
        **more,
    )


def requires_more() -> AuthorizeResult:
    """Return the answer that the payer has to do something first."""
    return AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=CHALLENGE)


def declined(result_class: type[Any], code: str = "card_declined") -> Any:
    """Return a definite refusal with words for the payer and words for the operator."""
    failure = Failure(code=code, message="The bank said no.", detail="issuer 05")
    return result_class(outcome=Outcome.DECLINED, failure=failure)


def found(fact: SessionFact) -> RetrieveResult:
    """Return the answer to a retrieval: this is what is known of the session."""
    return RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact)
