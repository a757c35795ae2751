"""What leaves the server of what a plug-in returns: what it has declared, and never a secret, wherever it stands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.test import Client, override_settings
from django.utils.translation import gettext_lazy

from payments import services
from payments.api.storefront.access import client_secret
from payments.checks import check_providers
from payments.exceptions import DeclinedError
from payments.models import PaymentCollection, PaymentSession
from payments.providers import (
    AuthorizeRequest,
    AuthorizeResult,
    CancelRequest,
    CancelResult,
    CaptureRequest,
    CaptureResult,
    Failure,
    InitiateRequest,
    InitiateResult,
    MovementFact,
    NextAction,
    RetrieveRequest,
    RetrieveResult,
    SessionFact,
    call_provider,
    get_provider,
)
from payments.providers.account_holders import AccountRequest, ListMethodsResult, SavedPaymentMethod
from payments.providers.public_data import declared_data, publishable_fact, secrets_in, undeclarable
from payments.providers.system import SystemProvider
from payments.states import MovementKind, MovementStatus, Outcome, SessionStatus
from payments.testing import scripted_provider

pytestmark = pytest.mark.database_independent

KEY: Final = "sk_live_5ecret"
OTHERS_KEY: Final = "sk_of_the_other_1"
HOOK: Final = "whsec_of_the_list_1"
INNER: Final = "nested-signing-1234"
VAULT: Final = "vault_9f8e7d6c"
OLD_VAULT: Final = "vault_of_before_1"
SECRETS: Final = (KEY, OTHERS_KEY, HOOK, INNER, VAULT, OLD_VAULT)

AUTHORIZED: Final = {"outcome": Outcome.SUCCEEDED, "amount": Decimal(100), "currency_code": "eur"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of which some are secret."""

    api_key: str
    webhook_secrets: tuple[str, ...] = (HOOK,)
    signing_keys: Any = None
    publishable_key: str = "pk_live_public_1"
    region: str = "frankfurt-1"


class LeakyProvider(SystemProvider):
    """Return what a test tells it to."""

    options_class = Options
    is_for_payers = True
    supports_retrieve = True
    public_data_keys = frozenset(
        {
            "token",
            "status",
            "next.type",
            "next.url",
            "methods[].id",
            "methods[].label",
            "labels[]",
            "grid[][]",
        }
    )
    input_keys = frozenset({"card"})
    answers: dict[str, Any] = {}

    def _answer(self, verb: str, default: Any) -> Any:
        answer = self.answers.pop(verb, default)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def initiate(self, request: InitiateRequest) -> InitiateResult:
        """Open a session."""
        opened = InitiateResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference=f"ref_{request.session_id}",
            data={"token": f"tok_{request.session_id}"},
            provider_data={"vault": OLD_VAULT},
        )
        return self._answer("initiate", opened)  # type: ignore[no-any-return]

    def authorize(self, request: AuthorizeRequest) -> AuthorizeResult:
        """Hold the amount."""
        return self._answer("authorize", AuthorizeResult(**AUTHORIZED))  # type: ignore[no-any-return, arg-type]

    def capture(self, request: CaptureRequest) -> CaptureResult:
        """Take the amount."""
        return self._answer("capture", super().capture(request))  # type: ignore[no-any-return]

    def cancel(self, request: CancelRequest) -> CancelResult:
        """Let go."""
        return self._answer("cancel", super().cancel(request))  # type: ignore[no-any-return]

    def retrieve(self, request: RetrieveRequest) -> RetrieveResult:
        """Tell how things stand."""
        return self._answer("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED))  # type: ignore[no-any-return]


@pytest.fixture
def provider(settings: Any) -> Iterator[LeakyProvider]:
    """Return the provider `leaky`, which is configured next to another one."""
    backend = f"{__name__}.LeakyProvider"
    settings.PAYMENTS = {
        "PROVIDERS": {
            "leaky": {"BACKEND": backend, "OPTIONS": {"api_key": KEY, "signing_keys": {"eu": [INNER]}}},
            "other": {"BACKEND": backend, "OPTIONS": {"api_key": OTHERS_KEY}},
        }
    }
    found = get_provider("leaky")
    assert isinstance(found, LeakyProvider)
    LeakyProvider.answers = {}
    yield found
    LeakyProvider.answers = {}


def asked(**changes: Any) -> AuthorizeRequest:
    return AuthorizeRequest(
        operation_id="payop_1",
        idempotency_key="payop_1",
        collection_id="pay_col_1",
        session_id="payses_01ABCDEF",
        amount=Decimal(100),
        currency_code="eur",
        provider_reference="ref_01ABCDEF",
        provider_data={"vault": OLD_VAULT, "reference": "ref_01ABCDEF", "session": "payses_01ABCDEF"},
        **changes,
    )


def authorized(provider: LeakyProvider, result: Any, **changes: Any) -> AuthorizeResult:
    provider.answers["authorize"] = result
    return call_provider(provider.authorize, asked(**changes), result_class=AuthorizeResult)


def result_with(**changes: Any) -> AuthorizeResult:
    return AuthorizeResult(**{**AUTHORIZED, "provider_data": {"vault": {"inner": [VAULT]}}, **changes})


@pytest.mark.database_independent
class TestDeclarations:
    """What is declared, and what becomes of the rest."""

    @pytest.mark.parametrize(
        ("data", "kept", "undeclared"),
        [
            ({"token": "t", "status": None}, {"token": "t", "status": None}, []),
            ({"token": 1.5, "status": True}, {"token": 1.5, "status": True}, []),
            ({"token": {"a": 1}}, {}, ["token"]),
            ({"token": ["a"]}, {}, ["token"]),
            ({"token": {}, "status": []}, {}, ["status", "token"]),
            ({"other": 1}, {}, ["other"]),
            ({"next": {"type": "x", "url": "y"}}, {"next": {"type": "x", "url": "y"}}, []),
            ({"next": None}, {"next": None}, []),
            ({"next": "text"}, {}, ["next"]),
            ({"next": {"type": "x", "key": "k"}}, {"next": {"type": "x"}}, ["next.key"]),
            ({"next": {"type": {"deep": 1}}}, {"next": {}}, ["next.type"]),
            ({"next": [{"type": "x"}]}, {}, ["next"]),
            (
                {"methods": [{"id": 1, "pan": 2}, {"id": 3}]},
                {"methods": [{"id": 1}, {"id": 3}]},
                ["methods[].pan"],
            ),
            ({"methods": [["x"], "y"]}, {"methods": []}, ["methods[]"]),
            ({"methods": {"id": 1}}, {}, ["methods"]),
            ({"labels": ["a", 1, {"b": 2}]}, {"labels": ["a", 1]}, ["labels[]"]),
            ({"labels": "a"}, {}, ["labels"]),
            ({"grid": [[1, 2], [3]]}, {"grid": [[1, 2], [3]]}, []),
            ({"next.url": "y", "labels[]": 1}, {}, ["labels[]", "next.url"]),
            ({"": {"token": "t"}, ".": {"type": 1}}, {}, ["", "."]),
        ],
    )
    def test_only_what_is_declared_gets_through(
        self, data: dict[str, Any], kept: dict[str, Any], undeclared: list[str]
    ) -> None:
        assert declared_data(data, LeakyProvider.public_data_keys) == (kept, undeclared)

    @pytest.mark.parametrize(
        "declared",
        [
            {"a": ("b",)},
            ["a"],
            "a",
            {"", "a"},
            {"a..b"},
            {".a"},
            {"a."},
            {"a[0].b"},
            {"[].a"},
            {"a b"},
            {("a", "b")},
            {1},
        ],
    )
    def test_a_declaration_that_declares_nothing_is_an_error(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, provider: LeakyProvider, declared: Any
    ) -> None:
        monkeypatch.setattr(LeakyProvider, "public_data_keys", declared)
        assert undeclarable(declared)
        assert "payments.E028" in {message.id for message in check_providers()}

    def test_a_declaration_as_it_has_to_be_is_none(
        self, monkeypatch: pytest.MonkeyPatch, provider: LeakyProvider
    ) -> None:
        assert undeclarable(LeakyProvider.public_data_keys) == []
        assert "payments.E028" not in {message.id for message in run_checks(tags=["payments"])}
        monkeypatch.setattr(LeakyProvider, "public_data_keys", {""})
        assert "payments.E028" in {message.id for message in run_checks(tags=["payments"])}


PLACES: Final[dict[str, tuple[Callable[[str], AuthorizeResult], Callable[[AuthorizeResult], Any], Any]]] = {
    "data": (
        lambda text: result_with(data={"token": text, "status": "ok"}),
        lambda it: it.data,
        {"status": "ok"},
    ),
    "an object in data": (
        lambda text: result_with(data={"next": {"type": "x", "url": text}}),
        lambda it: it.data,
        {"next": {"type": "x"}},
    ),
    "a list in data": (
        lambda text: result_with(data={"methods": [{"id": text, "label": "Visa"}], "labels": ["a", text]}),
        lambda it: it.data,
        {"methods": [{"label": "Visa"}], "labels": ["a"]},
    ),
    "a refusal's words": (
        lambda text: replace(
            result_with(failure=Failure(code="no_money", message=text)), outcome=Outcome.DECLINED
        ),
        lambda it: (it.failure.code, it.failure.message),  # type: ignore[union-attr]
        ("no_money", ""),
    ),
    "a refusal's code": (
        lambda text: replace(
            result_with(failure=Failure(code=text, message="No.")), outcome=Outcome.DECLINED
        ),
        lambda it: (it.failure.code, it.failure.message, it.failure.detail),  # type: ignore[union-attr]
        ("declined", "No.", ""),
    ),
    "an action's address": (
        lambda text: result_with(
            next_action=NextAction(type="redirect", url=f"https://bank.example/?k={text}")
        ),
        lambda it: it.next_action,
        NextAction(type="provider_script"),
    ),
}


@pytest.mark.database_independent
class TestSecrets:
    """What is left out although it stands where it may be read."""

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("secret", SECRETS)
    @pytest.mark.parametrize("text", ["{}", "Bearer({})", "x{}x"])
    def test_a_secret_gets_through_nowhere(
        self,
        provider: LeakyProvider,
        caplog: pytest.LogCaptureFixture,
        place: str,
        secret: str,
        text: str,
    ) -> None:
        make, shown, wanted = PLACES[place]
        result = authorized(provider, make(text.format(secret)))
        assert shown(result) == wanted
        assert secret not in repr(result)
        assert "leaky" in caplog.text
        assert secret not in caplog.text

    @pytest.mark.parametrize("secret", [KEY, OTHERS_KEY, HOOK, INNER, OLD_VAULT])
    def test_a_refusal_that_is_raised_tells_none_either(self, provider: LeakyProvider, secret: str) -> None:
        result = authorized(provider, DeclinedError(f"Refused for {secret}", code=secret))
        assert (result.outcome, result.failure) == (Outcome.DECLINED, Failure(code="declined"))

    def test_an_address_hides_none_in_its_spelling(self, provider: LeakyProvider) -> None:
        action = NextAction(type="redirect", url=f"https://bank.example/?k={KEY.replace('_', '%5F')}")
        assert authorized(provider, result_with(next_action=action)).next_action == NextAction(
            type="provider_script"
        )

    @pytest.mark.parametrize("secret", [KEY, OTHERS_KEY, VAULT])
    def test_a_report_tells_none_either(self, provider: LeakyProvider, secret: str) -> None:
        failure = Failure(code="late", message=f"see {secret}", detail="d")
        fact = SessionFact(
            currency_code="eur",
            status=SessionStatus.REQUIRES_MORE,
            data={"token": secret, "status": "ok"},
            provider_data={"vault": VAULT},
            failure=failure,
            next_action=NextAction(type="challenge", url=f"https://bank.example/{secret}"),
            movements=(
                MovementFact(
                    kind=MovementKind.CAPTURE,
                    status=MovementStatus.FAILED,
                    amount=Decimal(1),
                    currency_code="eur",
                    failure=failure,
                ),
            ),
        )
        provider.answers["retrieve"] = RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact)
        request = RetrieveRequest(session_id="payses_1", amount=Decimal(1), currency_code="eur")
        answered = call_provider(provider.retrieve, request, result_class=RetrieveResult).fact
        unasked = publishable_fact(provider, replace(fact, provider_data=None), {"vault": VAULT})
        assert unasked.data == {"status": "ok"}
        for told in (answered, publishable_fact(provider, fact)):
            assert told is not None
            assert told.data == {"status": "ok"}
            assert told.failure == told.movements[0].failure == replace(failure, message="")
            assert told.next_action == NextAction(type="provider_script")

    def test_operators_read_no_key_either(self, provider: LeakyProvider) -> None:
        failure = Failure(code="no", message="No.", detail=f"401 for {KEY}")
        result = authorized(provider, AuthorizeResult(outcome=Outcome.DECLINED, failure=failure))
        assert result.failure == replace(failure, detail="")

    @pytest.mark.parametrize(
        "code", ["Card declined!", "CARD_DECLINED", "card-declined", "", "x" * 65, "ü", "a b", "card\n"]
    )
    def test_a_code_that_is_not_one_word_is_the_plain_one(self, provider: LeakyProvider, code: str) -> None:
        failure = Failure(code=code, message="No.")
        result = authorized(provider, AuthorizeResult(outcome=Outcome.DECLINED, failure=failure))
        assert result.failure == Failure(code="declined", message="No.", detail=code)


@pytest.mark.database_independent
@pytest.mark.parametrize(
    ("private", "public"),
    [
        ({"state": "requires_confirmation"}, {"status": "requires_confirmation"}),
        ({"state": "AUTHORIZED"}, {"status": "AUTHORIZED BY BANK"}),
        ({"made": "2026-11-29"}, {"token": "until 2026-11-29"}),
        ({"made": "2026-11-29T10:00:00Z"}, {"token": "2026-11-29T10:00:00Z"}),
        ({"amount": "12345.50"}, {"token": "12345.50"}),
        ({"short": "abc1234"}, {"token": "abc1234"}),
        ({"token": "tok_1234567"}, {"token": "tok_1234567"}),
        ({"order": "ref_01ABCDEF"}, {"token": "ref_01ABCDEF_secret_1"}),
        ({"session": "payses_01ABCDEF"}, {"token": "for payses_01ABCDEF"}),
        ({"method": "pm_12345678"}, {"token": "pm_12345678"}),
        ({"mark": "payop_01M8M5QP5GS358WZNKXPA24SYQ"}, {"token": "tok_payop_01M8M5QP5GS358WZNKXPA24SYQ"}),
        (
            {"return_url": "https://shop.example/back?order=4711"},
            {"next": {"url": "https://bank.example/?to=https://shop.example/back?order=4711"}},
        ),
        (
            {"back": "https://shop.example/back"},
            {"next": {"url": "https://bank.example/?to=https://shop.example/back"}},
        ),
        ({}, {"token": "pk_live_public_1", "status": "frankfurt-1"}),
    ],
)
def test_what_may_be_in_both_halves_is_no_secret(
    provider: LeakyProvider, private: dict[str, Any], public: dict[str, Any]
) -> None:
    answer = result_with(data=public, provider_data=private)
    assert authorized(provider, answer, input={"card": "pm_12345678"}).data == public


HOOK_URL: Final = "https://pay.example/hook?token=s3cr3tT0ken"


@pytest.mark.database_independent
@pytest.mark.parametrize(
    ("private", "url"),
    [
        (HOOK_URL, HOOK_URL),
        (HOOK_URL, f"{HOOK_URL}&next=1"),
        (HOOK_URL, f"https://bank.example/?to={HOOK_URL}"),
        (HOOK_URL, f"https://bank.example/?to={quote(HOOK_URL, safe='')}"),
        ("https://pay.example/s3cr3tT0ken", "https://pay.example/s3cr3tT0ken"),
        ("https://pay.example/s3cr3tT0ken", "https://pay.example/s3cr3tT%30ken"),
    ],
)
def test_a_private_address_leaves_neither_whole_nor_with_a_query(
    provider: LeakyProvider, private: str, url: str
) -> None:
    action = NextAction(type="redirect", url=url)
    answer = result_with(data={"next": {"url": url}}, next_action=action, provider_data={"hook": private})
    result = authorized(provider, answer)
    assert (result.data, result.next_action) == ({"next": {}}, NextAction(type="provider_script"))


@pytest.mark.database_independent
@pytest.mark.parametrize("is_private", [True, False])
@pytest.mark.parametrize(
    ("value", "secret"),
    [
        (gettext_lazy("of sk_live_5ecret"), KEY),
        (gettext_lazy("vault_9f8e7d6c"), VAULT),
        (UUID("4f6d2a52-6f0c-4f2b-9a3e-0d7b6c5a4e3f"), "4f6d2a52-6f0c-4f2b-9a3e-0d7b6c5a4e3f"),
    ],
)
def test_what_becomes_a_text_is_looked_at_as_one(
    provider: LeakyProvider, value: Any, secret: str, is_private: bool
) -> None:
    private, public = (value, secret) if is_private else (secret, value)
    data = {"token": public, "next": {"url": public}, "labels": [public], "status": "ok"}
    result = authorized(provider, result_with(data=data, provider_data={"vault": private}))
    assert result.data == {"status": "ok", "next": {}, "labels": []}


@pytest.mark.database_independent
@pytest.mark.parametrize(
    "options",
    [
        {"auth": {"client_secret": KEY}},
        {"shops": [{"name": "a", "login": {"password": KEY}}]},
        {"hmac": KEY},
        {"signing": {"eu": [KEY]}},
        {"private_pem": KEY},
        {"pem": KEY},
        {"privateHalf": (KEY,)},
        {"hooks": ({"HMAC": KEY},)},
    ],
)
def test_an_option_is_secret_by_its_name_however_deep(options: dict[str, Any]) -> None:
    assert list(secrets_in(options)) == [KEY]


@pytest.mark.database_independent
@pytest.mark.parametrize(
    "options",
    [
        {"publishable_key": KEY, "public": {"key": KEY}, "region": KEY, "tempemail": KEY},
        {"shops": [KEY, {"name": KEY}]},
    ],
)
def test_an_option_that_says_nothing_of_a_secret_is_none(options: dict[str, Any]) -> None:
    assert list(secrets_in(options)) == []


@pytest.mark.database_independent
@pytest.mark.parametrize("secret", [KEY, OLD_VAULT, VAULT])
def test_no_detail_and_no_name_in_the_log_tells_what_is_private(
    provider: LeakyProvider, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = result_with(failure=Failure(code="no", detail=f"raw {secret}"), data={secret: 1, "other": 2})
    result = authorized(provider, replace(answer, outcome=Outcome.DECLINED))
    assert result.failure == Failure(code="no")
    assert "undeclared public keys: other, [redacted]" in caplog.text
    assert secret not in caplog.text


@pytest.mark.database_independent
@pytest.mark.parametrize("secret", [KEY, OLD_VAULT])
def test_a_saved_payment_method_shows_nothing_private(secret: str) -> None:
    with scripted_provider() as script, override_settings(PAYMENTS=with_key(KEY)):
        provider: Any = get_provider("scripted")
        good = SavedPaymentMethod(id="card_1", type="card", brand="visa", last4="4242", expires="2034-12")
        methods = (
            good,
            replace(good, brand=f"of {secret}", last4=secret),
            replace(good, type=secret, expires=f"of {secret}"),
            replace(good, id=secret),
        )
        script.next("list_methods", ListMethodsResult(outcome=Outcome.SUCCEEDED, methods=methods))
        asked_for = AccountRequest(
            account_holder_id="acchld_1", account_reference="acct_12345", provider_data={"vault": OLD_VAULT}
        )
        result = call_provider(provider.list_methods, asked_for, result_class=ListMethodsResult)
    assert result.methods == (good, replace(good, brand="", last4=""), replace(good, type="", expires=""))


def with_key(key: str) -> dict[str, Any]:
    """Return the settings with one more provider, of this key."""
    entry = {"BACKEND": f"{__name__}.LeakyProvider", "OPTIONS": {"api_key": key}}
    providers = {**settings.PAYMENTS["PROVIDERS"], "leaky": entry}
    return {**settings.PAYMENTS, "PROVIDERS": providers}


def test_an_answer_in_which_all_may_leave_is_passed_on_as_it_is(provider: LeakyProvider) -> None:
    answer = result_with(data={"token": "t", "next": {"url": "https://bank.example/"}})
    assert authorized(provider, answer) is answer


@pytest.fixture
def collection(provider: LeakyProvider, db: None) -> PaymentCollection:
    return services.create_payment_collection(amount="100.00", currency_code="eur")


@pytest.fixture
def session(collection: PaymentCollection) -> PaymentSession:
    return services.create_payment_session(collection, provider_id="leaky")


def read(session: PaymentSession, **headers: str) -> Any:
    secret = client_secret(session.collection_id)
    return Client().get(
        f"/payments/storefront/payment-sessions/{session.pk}/",
        headers={"Payment-Client-Secret": secret, **headers},
    )


@pytest.mark.django_db
@pytest.mark.shows(
    "A plug-in publishes its key, what it keeps private, or what it never declared, in an answer that holds money",
    "The money is in the books, and nothing of the secret: not stored, not shown, not in the log",
)
@pytest.mark.parametrize(
    "leak", [{"token": {"secret": VAULT}}, {"token": f"Bearer {KEY}"}, {"token": [VAULT]}]
)
def test_a_leak_costs_no_money_and_tells_nothing(
    session: PaymentSession, provider: LeakyProvider, caplog: pytest.LogCaptureFixture, leak: dict[str, Any]
) -> None:
    provider.answers["authorize"] = result_with(data={**leak, "status": "done"})
    services.authorize_payment_session(session)
    session.refresh_from_db()
    assert session.payment is not None
    assert (session.status, session.payment.amount) == (SessionStatus.AUTHORIZED, Decimal(100))
    assert session.data == {"status": "done"}
    assert [record.levelno >= logging.WARNING for record in caplog.records]
    assert not {KEY, VAULT} & set(caplog.text.split())
    for headers in ({}, {"Accept": "text/html"}):
        page = read(session, **headers).content.decode()
        assert not [secret for secret in SECRETS if secret in page]


@pytest.mark.django_db
def test_a_session_is_opened_without_what_may_not_be_read(
    collection: PaymentCollection, provider: LeakyProvider
) -> None:
    provider.answers["initiate"] = InitiateResult(
        outcome=Outcome.SUCCEEDED,
        provider_reference="ref_1",
        data={"token": {"deep": VAULT}, "status": f"x{KEY}", "labels": ["a"]},
        provider_data={"vault": VAULT},
    )
    session = services.create_payment_session(collection, provider_id="leaky")
    assert (session.data, session.provider_data) == ({"labels": ["a"]}, {"vault": VAULT})
    assert session.initiated_at is not None


@pytest.mark.django_db
def test_an_action_that_gives_away_a_secret_still_holds_nothing(
    session: PaymentSession, provider: LeakyProvider
) -> None:
    action = NextAction(type="redirect", url=f"https://bank.example/?key={KEY}")
    provider.answers["authorize"] = AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=action)
    session = services.authorize_payment_session(session)
    assert (session.status, session.payment) == (SessionStatus.REQUIRES_MORE, None)
    assert read(session).json()["next_action"] == {"type": "provider_script", "url": None}


@pytest.mark.django_db
@pytest.mark.shows(
    "Stored data that hold what has become a secret option, or isn't declared any more",
    "Left out whenever they are read, and the log says so",
)
def test_what_was_stored_before_is_not_shown_either(
    session: PaymentSession, caplog: pytest.LogCaptureFixture
) -> None:
    leaks = {"token": "t", "status": KEY, "next": {"url": "u", "key": "k"}, "other": 1, "labels": ["a", HOOK]}
    PaymentSession.objects.filter(pk=session.pk).update(data=leaks)
    for _time in range(2):
        caplog.clear()
        assert read(session).json()["data"] == {"token": "t", "next": {"url": "u"}, "labels": ["a"]}
        assert "undeclared public keys: next.key, other" in caplog.text
        assert "in data.status what" in caplog.text


@pytest.mark.django_db
@pytest.mark.shows(
    "A payer's data hold our ids, or what the payer has sent, which the provider keeps too",
    "Shown as they were stored, on each reading",
)
@pytest.mark.parametrize("known", ["operation_id", "session_id", "collection_id", "idempotency_key", "input"])
def test_what_is_stored_as_public_is_shown_as_it_is(
    collection: PaymentCollection, provider: LeakyProvider, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    def initiate(self: LeakyProvider, request: InitiateRequest) -> InitiateResult:
        text = request.input["card"] if known == "input" else getattr(request, known)
        return InitiateResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference="ref_1",
            data={"token": f"tok_{text}"},
            provider_data={"kept": text},
        )

    monkeypatch.setattr(LeakyProvider, "initiate", initiate)
    session = services.create_payment_session(
        collection, provider_id="leaky", data={"card": "sparkasse-4711"}
    )
    assert session.data["token"].startswith("tok_")
    assert read(session).json()["data"] == session.data


@pytest.mark.django_db
def test_a_stored_answer_is_repeated_without_what_may_not_be_read_any_more(
    session: PaymentSession, provider: LeakyProvider, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/payments/storefront/payment-sessions/{session.pk}/authorize/"
    headers = {"Payment-Client-Secret": client_secret(session.collection_id), "Idempotency-Key": "once"}
    provider.answers["authorize"] = result_with(data={"next": {"type": "x", "url": "u"}, "token": "t-1"})
    first = Client().post(address, {}, content_type="application/json", headers=headers)
    assert first.json()["data"] == {"next": {"type": "x", "url": "u"}, "token": "t-1"}
    monkeypatch.setattr(LeakyProvider, "public_data_keys", frozenset({"next.type", "token"}))
    again = Client().post(address, {}, content_type="application/json", headers=headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["data"] == {"next": {"type": "x"}, "token": "t-1"}
