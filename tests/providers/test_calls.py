"""Building providers from the settings, and calling them so that whatever happens has one of five outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import pytest
from django.core.exceptions import ImproperlyConfigured

from payments.exceptions import (
    DeclinedError,
    NotFoundError,
    NotSupportedError,
    OutcomeUnknownError,
    ProviderUnavailableError,
)
from payments.providers import (
    CaptureRequest,
    CaptureResult,
    InitiateRequest,
    InitiateResult,
    NextAction,
    RetrieveRequest,
    RetrieveResult,
    WebhookRequest,
    call_provider,
    configured_providers,
    get_provider,
)
from payments.providers.base import NoOptions
from payments.providers.system import SystemProvider
from payments.states import Outcome

pytestmark = pytest.mark.database_independent

SYSTEM = "payments.providers.system.SystemProvider"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a made-up provider."""

    api_key: str
    timeout: int = 10

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError("timeout must be more than 0")


class Fussy(SystemProvider):
    """A provider with a required option, a checked one, and a public key."""

    options_class = Options
    public_data_keys = frozenset({"client_token"})


FUSSY = f"{__name__}.Fussy"


def configure(settings: Any, **entry: Any) -> None:
    settings.PAYMENTS = {"PROVIDERS": {"shop": entry}}


def request(request_class: type[Any], **more: Any) -> Any:
    return request_class(
        operation_id="payop_1",
        idempotency_key="payop_1",
        collection_id="pay_col_1",
        session_id="payses_1",
        amount=Decimal(10),
        currency_code="eur",
        **more,
    )


def test_provider_is_built_with_its_alias_and_options(settings: Any) -> None:
    configure(settings, BACKEND=FUSSY, OPTIONS={"api_key": "sk_1"})
    provider = get_provider("shop")
    options: Any = provider.options
    assert isinstance(provider, Fussy)
    assert (provider.alias, options) == ("shop", Options(api_key="sk_1", timeout=10))


def test_one_class_can_serve_two_aliases(settings: Any) -> None:
    settings.PAYMENTS = {
        "PROVIDERS": {
            "eu": {"BACKEND": FUSSY, "OPTIONS": {"api_key": "sk_eu"}},
            "us": {"BACKEND": FUSSY, "OPTIONS": {"api_key": "sk_us"}},
        }
    }
    providers = configured_providers()
    assert list(providers) == ["eu", "us"]
    assert [provider.options.api_key for provider in providers.values()] == ["sk_eu", "sk_us"]


def test_alias_that_is_not_configured_is_named(settings: Any) -> None:
    configure(settings, BACKEND=SYSTEM)
    with pytest.raises(NotFoundError) as refusal:
        get_provider("nobody")
    assert (refusal.value.code, refusal.value.field) == ("unknown_provider", "provider_id")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"BACKEND": "payments.providers.nowhere.Provider"}, "can't be imported"),
        ({"BACKEND": "payments.providers.system"}, "not a BaseProvider"),
        ({"BACKEND": "decimal.Decimal"}, "not a BaseProvider"),
        ({"BACKEND": SYSTEM, "OPTIONS": {"api_key": "sk"}}, "unknown options api_key"),
        ({"BACKEND": FUSSY, "OPTIONS": {"api_kye": "sk"}}, "takes api_key, timeout"),
        ({"BACKEND": FUSSY}, "api_key"),
        ({"BACKEND": FUSSY, "OPTIONS": {"api_key": "sk", "timeout": 0}}, "more than 0"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_with_its_alias(
    settings: Any, entry: dict[str, Any], words: str
) -> None:
    configure(settings, **entry)
    with pytest.raises(ImproperlyConfigured, match='"shop"') as refusal:
        get_provider("shop")
    assert words in str(refusal.value)
    assert "sk" not in str(refusal.value).split()


class Moody(Fussy):
    """A provider that does what `mood` says."""

    mood: Any = None

    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Raise or return the mood."""
        if isinstance(self.mood, BaseException):
            raise self.mood
        return self.mood  # type: ignore[no-any-return]

    def initiate(self, request: InitiateRequest) -> InitiateResult:
        """Return the mood."""
        return self.mood  # type: ignore[no-any-return]


@pytest.fixture
def moody() -> Moody:
    """Return a provider whose mood the test sets."""
    return Moody(alias="moody", options=cast(Any, Options(api_key="sk")))


def capture(provider: Moody, mood: Any) -> CaptureResult:
    provider.mood = mood
    return call_provider(
        provider.capture,
        request(CaptureRequest, payment_id="pay_1", capture_id="capt_1"),
        result_class=CaptureResult,
    )


@pytest.mark.parametrize("outcome", Outcome)
def test_answer_of_the_right_kind_is_passed_on(moody: Moody, outcome: Outcome) -> None:
    answer = CaptureResult(outcome=outcome, amount=Decimal(10), currency_code="eur")
    assert capture(moody, answer) is answer


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (DeclinedError("No.", code="card_declined"), Outcome.DECLINED, "card_declined"),
        (ProviderUnavailableError("refused"), Outcome.NOT_SENT, "provider_unavailable"),
        (OutcomeUnknownError("who knows"), Outcome.UNKNOWN, "outcome_unknown"),
        (NotSupportedError("no"), Outcome.UNKNOWN, "outcome_unknown"),
        (TimeoutError("read"), Outcome.UNKNOWN, "outcome_unknown"),
        (ConnectionResetError("by peer"), Outcome.UNKNOWN, "outcome_unknown"),
        (KeyError("id"), Outcome.UNKNOWN, "outcome_unknown"),
        (RecursionError("deep"), Outcome.UNKNOWN, "outcome_unknown"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_exception_has_an_outcome(moody: Moody, error: Exception, outcome: Outcome, code: str) -> None:
    result = capture(moody, error)
    assert result.failure is not None
    assert (result.outcome, result.failure.code, result.amount) == (outcome, code, None)


def test_only_a_definite_refusal_has_words_for_the_payer(moody: Moody) -> None:
    declined = capture(moody, DeclinedError("The card has expired.", code="expired_card")).failure
    unknown = capture(moody, ValueError("card 4242424242424242")).failure
    assert declined is not None
    assert unknown is not None
    assert (declined.message, declined.detail) == ("The card has expired.", "")
    assert (unknown.message, unknown.detail) == ("", "ValueError")


@pytest.mark.parametrize(
    "mood",
    [None, {"outcome": "succeeded"}, InitiateResult(outcome=Outcome.SUCCEEDED), CaptureResult(outcome="ok")],  # type: ignore[arg-type]
    ids=repr,
)
def test_answer_of_another_kind_is_unknown(moody: Moody, mood: Any) -> None:
    assert capture(moody, mood).outcome == Outcome.UNKNOWN


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_end_of_the_process_is_not_swallowed(moody: Moody, stop: BaseException) -> None:
    with pytest.raises(type(stop)):
        capture(moody, stop)


def test_undeclared_public_keys_are_dropped_and_named_in_the_log(
    moody: Moody, caplog: pytest.LogCaptureFixture
) -> None:
    moody.mood = InitiateResult(
        outcome=Outcome.SUCCEEDED, data={"client_token": "t", "secret": "s3cr3t"}, provider_data={"id": "1"}
    )
    result = call_provider(moody.initiate, request(InitiateRequest), result_class=InitiateResult)
    assert (result.data, result.provider_data) == ({"client_token": "t"}, {"id": "1"})
    assert "secret" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_private_halves_do_not_show_in_a_repr(moody: Moody) -> None:
    asked = request(InitiateRequest, provider_data={"k": "s3cr3t"}, input={"k": "s3cr3t"})
    told = InitiateResult(outcome=Outcome.SUCCEEDED, provider_data={"k": "s3cr3t"})
    webhook = WebhookRequest(body=b"s3cr3t", headers={"signature": "s3cr3t"})
    assert "s3cr3t" not in repr((asked, told, webhook))


def test_provider_that_cannot_be_asked_is_unknown_and_not_wrong() -> None:
    provider = SystemProvider(alias="system", options=NoOptions())
    asked = RetrieveRequest(session_id="payses_1", amount=Decimal(10), currency_code="eur")
    result = call_provider(provider.retrieve, asked, result_class=RetrieveResult)
    assert (result.outcome, result.fact) == (Outcome.UNKNOWN, None)
    assert not provider.supports_retrieve


def test_provider_without_webhooks_says_so() -> None:
    provider = SystemProvider(alias="system", options=NoOptions())
    assert not provider.supports_webhooks
    with pytest.raises(NotSupportedError):
        provider.parse_webhook(WebhookRequest(body=b"", headers={}))


def test_a_redirect_that_leads_nowhere_is_no_action() -> None:
    with pytest.raises(ValueError, match="needs a url"):
        NextAction(type="redirect")
    assert NextAction(type="provider_script").url is None
