"""Words that are kept: everybody reads them in their own language, whoever was there when they were written down."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, override

import payments
from payments import providers, services
from payments.api.storefront.access import client_secret
from payments.exceptions import DeclinedError
from payments.models import PaymentSession
from payments.providers.paypal import errors as paypal_errors
from payments.providers.stripe import errors as stripe_errors
from payments.providers.stripe import translation
from payments.states import Outcome, SessionStatus
from payments.stored import kept_words, told_words
from payments.testing import Script, scripted_provider

pytestmark = pytest.mark.database_independent

WORDS: Final = gettext_lazy("Your card has expired. Use another card.")
ENGLISH: Final = "Your card has expired. Use another card."
LANGUAGES: Final = ("en", "de", "ar")


def in_language(language: str) -> str:
    with override(language):
        return str(WORDS)


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """Leave the thread's language as it was, whatever a request chose."""
    with override("en"):
        yield


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_provider() as script:
        yield script


@pytest.fixture
def session(script: Script, db: None) -> PaymentSession:
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    return services.create_payment_session(collection, provider_id="scripted")


def declined_by_answer(session: PaymentSession, script: Script) -> None:
    failure = providers.Failure(code="expired_card", message=WORDS)
    script.next("authorize", providers.AuthorizeResult(outcome=Outcome.DECLINED, failure=failure))
    services.authorize_payment_session(session)


def declined_by_error(session: PaymentSession, script: Script) -> None:
    script.next("authorize", DeclinedError(WORDS, code="expired_card"))
    services.authorize_payment_session(session)


def declined_by_event(session: PaymentSession, script: Script) -> None:
    fact = providers.SessionFact(
        currency_code="eur",
        status=SessionStatus.ERROR,
        failure=providers.Failure(code="expired_card", message=WORDS),
    )
    event = providers.WebhookResult(event_id="evt_1", event_type="declined", session_id=session.pk, fact=fact)
    script.next("parse_webhook", event)
    response = Client().post("/payments/webhooks/scripted/", b"{}", content_type="application/json")
    assert response.status_code == 200


def read_by(client: Client, address: str, language: str, **headers: str) -> str:
    response = client.get(address, headers={"Accept-Language": language, **headers})
    assert response.status_code == 200, address
    return response.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("decline", "recorded_in"),
    [
        pytest.param(decline, language, marks=[] if at == number else [pytest.mark.thorough])
        for at, language in enumerate(LANGUAGES)
        for number, decline in enumerate([declined_by_answer, declined_by_error, declined_by_event])
    ],
)
def test_a_refusal_is_told_to_each_reader_in_their_language(
    session: PaymentSession,
    script: Script,
    decline: Callable[[PaymentSession, Script], None],
    recorded_in: str,
) -> None:
    with override(recorded_in):
        decline(session, script)
    session.refresh_from_db()
    assert (session.status, session.error_code) == (SessionStatus.ERROR, "expired_card")
    secret, operator = {"Payment-Client-Secret": client_secret(session.collection_id)}, Client()
    operator.force_login(get_user_model().objects.create_superuser("olivia"))
    for language in LANGUAGES:
        wanted = in_language(language)
        shown = Client().get(
            f"/payments/storefront/payment-sessions/{session.pk}/",
            headers={"Accept-Language": language, **secret},
        )
        assert shown.json()["error"] == {"code": "expired_card", "message": wanted}
        staff = operator.get(
            f"/payments/staff/payment-sessions/{session.pk}/", headers={"Accept-Language": language}
        )
        assert staff.json()["error"]["message"] == wanted
        page = reverse("admin:payments_paymentsession_change", args=[session.pk])
        assert wanted in read_by(operator, page, language)
        with override(language):
            assert session.error_text == wanted


@pytest.mark.django_db
def test_refused_captures_and_refunds_are_told_so_too(session: PaymentSession, script: Script) -> None:
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    failure = providers.Failure(code="expired_card", message=WORDS)
    with override("de"):
        script.next("capture", providers.CaptureResult(outcome=Outcome.DECLINED, failure=failure))
        with pytest.raises(DeclinedError) as refused:
            services.capture_payment(payment)
        assert refused.value.message == in_language("de")
        services.capture_payment(payment)
        script.next("refund", providers.RefundResult(outcome=Outcome.DECLINED, failure=failure))
        with pytest.raises(DeclinedError):
            services.refund_payment(payment)
    rows: list[Any] = [
        payment.captures.get(status="failed"),
        payment.refunds.get(),
        *session.operations.filter(status="declined"),
    ]
    assert len(rows) == 4
    for row in rows:
        for language in LANGUAGES:
            with override(language):
                assert row.error_text == in_language(language)


@pytest.mark.parametrize("words", ["", "Karte gesperrt.", "one\r\ntwo\rthree\n", "100 % %(of) it"])
def test_what_a_third_party_says_is_read_as_it_came(words: str) -> None:
    for language in LANGUAGES:
        with override(language):
            assert told_words(kept_words(words)) == words


def test_refusals_of_stripe_and_paypal_are_translated_when_they_are_shown() -> None:
    failures = [
        *(stripe_errors.card_failure({"code": code}) for code in (*stripe_errors.TAXONOMY, "of_next_year")),
        *(stripe_errors.request_failure({"code": code}) for code in ("charge_disputed", "of_next_year")),
        translation.missing_method(),
        translation.refund_failure({"status": "failed"}),
        paypal_errors.failure("INSTRUMENT_DECLINED"),
        paypal_errors.failure("OF_NEXT_YEAR"),
    ]
    assert all(failure is not None and isinstance(failure.message, Promise) for failure in failures)


def test_nothing_below_the_faces_chooses_a_language_too_early() -> None:
    root = Path(payments.__file__).parent
    rooms = ("providers", "services", "models", "money", "contrib")
    sources = [*(path for room in rooms for path in (root / room).rglob("*.py")), *root.glob("*.py")]
    eager = {"gettext", "ngettext", "pgettext", "npgettext"}
    found = {
        str(path.relative_to(root))
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        if eager & {name.name for name in node.names}
    }
    assert found == {"stored.py", "webhooks.py"}, (
        "These are answers, and words that somebody reads right now."
    )
