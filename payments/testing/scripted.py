"""A provider that does what a test tells it to, and remembers what it was asked.

    with scripted_provider() as script:
        session = create_payment_session(collection, provider_id="scripted")
        script.next("authorize", AuthorizeResult(outcome=Outcome.DECLINED, failure=Failure(code="stolen_card")))
        authorize_payment_session(session)
    assert script.requests("authorize")[0].amount == Decimal("100.00")

Where nothing is queued, it succeeds with exactly what was asked. It talks to nobody.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Final, Literal, TypeVar, cast

from django.conf import settings
from django.test.utils import override_settings

from payments.exceptions import WebhookVerificationError
from payments.money import smallest_amount
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
    ProviderRequest,
    ProviderResult,
    RefundRequest,
    RefundResult,
    RetrieveRequest,
    RetrieveResult,
    UpdateRequest,
    UpdateResult,
    WebhookRequest,
    WebhookResult,
)
from payments.providers.account_holders import (
    AccountHolderProvider,
    AccountRequest,
    AddMethodRequest,
    AddMethodResult,
    CreateAccountRequest,
    CreateAccountResult,
    ListMethodsResult,
    RemoveMethodRequest,
    RemoveMethodResult,
    SavedPaymentMethod,
)
from payments.states import Outcome

Verb = Literal[
    "initiate", "update", "authorize", "capture", "refund", "cancel", "retrieve", "parse_webhook",
    "create_account", "list_methods", "add_method", "remove_method",
]  # fmt: skip
Request = ProviderRequest | RetrieveRequest | WebhookRequest | CreateAccountRequest | AccountRequest
Result = ProviderResult | WebhookResult
Answer = Result | BaseException | Callable[[Any], Result]

ResultT = TypeVar("ResultT", bound=Result)

CAPABILITIES: Final = frozenset(
    name.removeprefix("supports_") for name in vars(BaseProvider) if name.startswith("supports_")
)


@dataclass(kw_only=True)
class Script:
    """What a scripted provider answers next, and what it was asked so far.

    An answer is a result, an exception to raise, or a function that gets the request and returns a result. `lacks`
    names capabilities that the provider doesn't have for now, such as `refund`; `step` is its `amount_step`.
    """

    calls: list[tuple[Verb, Request]] = field(default_factory=list)
    lacks: set[str] = field(default_factory=set)
    step: Decimal | None = None
    _queues: defaultdict[Verb | Literal["*"], deque[Answer]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    _standing: dict[Verb, Answer] = field(default_factory=dict)

    def next(self, verb: Verb | Literal["*"], *answers: Answer) -> None:
        """Queue answers to a verb, or to whichever verbs are called next (`*`)."""
        self._queues[verb].extend(answers)

    def always(self, verb: Verb, answer: Answer) -> None:
        """Give this answer to a verb wherever none is queued."""
        self._standing[verb] = answer

    def requests(self, verb: Verb) -> list[Any]:
        """Return what was asked with a verb, oldest first."""
        return [request for name, request in self.calls if name == verb]

    def clear(self) -> None:
        """Drop the answers that are queued."""
        self._queues.clear()

    @property
    def verbs(self) -> list[Verb]:
        """The verbs that were called, oldest first."""
        return [verb for verb, _request in self.calls]

    @property
    def unused(self) -> dict[Verb | Literal["*"], int]:
        """How many queued answers nobody asked for, by verb; a test may want none to be left."""
        return {verb: len(queue) for verb, queue in self._queues.items() if queue}

    def answer(self, verb: Verb, request: Request, default: ResultT | BaseException) -> ResultT:
        """Note a request, and give the next queued answer to it, or the standing one, or the default."""
        self.calls.append((verb, request))
        queue = self._queues[verb] or self._queues["*"]
        answer: Answer = queue.popleft() if queue else self._standing.get(verb, default)
        if isinstance(answer, BaseException):
            raise answer
        return cast(ResultT, answer(request) if callable(answer) else answer)


@dataclass(frozen=True, kw_only=True)
class ScriptedOptions:
    """The script that is played; `lacks` names capabilities that the provider isn't to have, such as `refund`.

    Raises ValueError for a capability that there isn't.
    """

    script: Script = field(default_factory=Script)
    lacks: Collection[str] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.lacks) - CAPABILITIES)
        if unknown:
            raise ValueError(f"lacks: {', '.join(unknown)}; there are {', '.join(sorted(CAPABILITIES))}")


class ScriptedProvider(AccountHolderProvider, BaseProvider[ScriptedOptions]):
    """A provider that answers from a script; each customer has one saved card, `card_of_` their account."""

    options_class = ScriptedOptions
    verbose_name = "Scripted"
    moves_real_money = False
    public_data_keys = frozenset({"client_token"})
    input_keys = frozenset({"token", "code"})
    supports_webhooks: ClassVar[bool] = True

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("supports_"):
            capability = name.removeprefix("supports_")
            if capability in self.options.lacks or capability in self.options.script.lacks:
                return False
        return super().__getattribute__(name)

    def amount_step(self, currency_code: str) -> Decimal:
        """Return the step that the script has, or the usual one."""
        return self.options.script.step or smallest_amount(currency_code)

    def initiate(self, request: InitiateRequest) -> InitiateResult:
        """Open a session with a client token that the storefront may read."""
        default = InitiateResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=f"scripted_{request.session_id}",
            data={"client_token": f"token_{request.session_id}"},
            provider_data={"secret": f"secret_{request.session_id}"},
        )
        return self.options.script.answer("initiate", request, default)

    def update(self, request: UpdateRequest) -> UpdateResult:
        """Accept the new amount."""
        return self.options.script.answer("update", request, UpdateResult(**_as_asked(request)))

    def authorize(self, request: AuthorizeRequest) -> AuthorizeResult:
        """Hold the whole amount."""
        return self.options.script.answer("authorize", request, AuthorizeResult(**_as_asked(request)))

    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Take the amount."""
        return self.options.script.answer("capture", request, CaptureResult(**_as_asked(request)))

    def refund(self, request: RefundRequest) -> RefundResult:
        """Give the amount back."""
        return self.options.script.answer("refund", request, RefundResult(**_as_asked(request)))

    def cancel(self, request: CancelRequest) -> CancelResult:
        """Release what is held."""
        return self.options.script.answer("cancel", request, CancelResult(outcome=Outcome.SUCCEEDED))

    def retrieve(self, request: RetrieveRequest) -> RetrieveResult:
        """Know nothing of the session."""
        if not self.supports_retrieve:
            return super().retrieve(request)
        return self.options.script.answer("retrieve", request, RetrieveResult(outcome=Outcome.SUCCEEDED))

    def parse_webhook(self, request: WebhookRequest) -> WebhookResult:
        """Give the event that was queued; raise WebhookVerificationError where none was."""
        if not self.supports_webhooks:
            return super().parse_webhook(request)
        refusal = WebhookVerificationError("No event is queued.")
        return self.options.script.answer("parse_webhook", request, refusal)

    def create_account(self, request: CreateAccountRequest) -> CreateAccountResult:
        """Have an account."""
        default = CreateAccountResult(
            outcome=Outcome.SUCCEEDED, provider_reference=f"scripted_{request.account_holder_id}"
        )
        return self.options.script.answer("create_account", request, default)

    def list_methods(self, request: AccountRequest) -> ListMethodsResult:
        """Know of one card."""
        card = SavedPaymentMethod(
            id=f"card_of_{request.account_reference}",
            type="card",
            brand="visa",
            last4="4242",
            expires="2034-12",
        )
        default = ListMethodsResult(outcome=Outcome.SUCCEEDED, methods=(card,))
        return self.options.script.answer("list_methods", request, default)

    def add_method(self, request: AddMethodRequest) -> AddMethodResult:
        """Give a client token that the storefront may read."""
        default = AddMethodResult(
            outcome=Outcome.SUCCEEDED, data={"client_token": f"token_{request.account_holder_id}"}
        )
        return self.options.script.answer("add_method", request, default)

    def remove_method(self, request: RemoveMethodRequest) -> RemoveMethodResult:
        """Forget it."""
        return self.options.script.answer(
            "remove_method", request, RemoveMethodResult(outcome=Outcome.SUCCEEDED)
        )


@contextmanager
def configured_provider(alias: str, entry: Mapping[str, Any]) -> Iterator[None]:
    """Have `PAYMENTS["PROVIDERS"][alias]` be `entry` inside the block; all other settings stay.

    A test means pretend money, and test runners switch DEBUG off, so that is allowed too.
    """
    current = getattr(settings, "PAYMENTS", {})
    providers = {**current.get("PROVIDERS", {}), alias: entry}
    with override_settings(PAYMENTS={**current, "PROVIDERS": providers, "ALLOW_PRETEND_MONEY": True}):
        yield


@contextmanager
def scripted_provider(*, alias: str = "scripted", lacks: Collection[str] = ()) -> Iterator[Script]:
    """Configure a scripted provider under `alias` inside the block, and give its script."""
    script = Script()
    entry = {
        "BACKEND": "payments.testing.scripted.ScriptedProvider",
        "OPTIONS": {"script": script, "lacks": lacks},
    }
    with configured_provider(alias, entry):
        yield script


def _as_asked(request: ProviderRequest) -> dict[str, Any]:
    return {
        "outcome": Outcome.SUCCEEDED,
        "amount": request.amount,
        "currency_code": request.currency_code,
    }
