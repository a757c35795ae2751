"""A plug-in's answer that can't be stored or shown isn't known to be one: 202, and nobody is led astray."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from payments import providers, services
from payments.models import Payment, PaymentCollection, PaymentOperation, WebhookEvent
from payments.states import Outcome, SessionStatus
from payments.testing import Script
from tests.api.client import Answer, Visitor
from tests.api.pairs import daily

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

WRONG: dict[str, dict[str, Any]] = {
    "a_dict_for_an_action": {"next_action": {"type": "redirect", "url": "https://bank.example/"}},
    "nan": {"data": {"client_token": float("nan")}},
    "nul": {"data": {"client_token": "a\0b"}},
    "private_nul": {"provider_data": {"id": "a\0b"}},
    "no_json": {"data": {"client_token": object()}},
    "reference": {"provider_reference": "r" * 256},
    "provider_log": {"provider_log": {"body": b"x"}},
}
URLS = (
    "javascript:alert(1)",
    "data:text/html,x",
    "//evil.example",
    "/relative",
    "https://",
    "ftp://x.example",
    5,
)


def settled(answer: Answer, kind: str) -> PaymentOperation:
    """Expect that nobody knows yet, and return the operation that will be looked after."""
    assert answer.status == 202
    operation = PaymentOperation.objects.get(kind=kind)
    assert operation.status == "unknown"
    assert operation.next_attempt_at is not None
    return operation


@pytest.mark.shows(
    "A plug-in whose answer can't be stored or shown: no JSON, NaN, NUL, an action of another kind",
    "202; the outcome is unknown, and the reconciler asks",
)
@pytest.mark.parametrize("values", WRONG.values(), ids=list(WRONG))
def test_an_authorization_that_can_not_be_stored_is_unknown(
    guest: Visitor, collection: PaymentCollection, script: Script, values: dict[str, Any]
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted")
    held = {"amount": Decimal(100), "currency_code": "eur", **values}
    script.next("authorize", providers.AuthorizeResult(outcome=Outcome.SUCCEEDED, **held))

    answer = guest.post(f"storefront/payment-sessions/{session.pk}/authorize/")

    operation = settled(answer, "authorize")
    assert operation.detail == f"UnusableAnswerError: {next(iter(values))}"
    session.refresh_from_db()
    assert (session.status, session.next_action) == (SessionStatus.PENDING, None)


@pytest.mark.shows(
    "A plug-in that would send the payer to javascript:, data:, a relative address or another scheme",
    "202; the outcome is unknown, and the payer is sent nowhere",
)
@pytest.mark.parametrize("url", daily(URLS, step=3), ids=repr)
def test_a_payer_is_never_sent_to_what_is_no_web_address(
    guest: Visitor, collection: PaymentCollection, script: Script, url: Any
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted")
    script.next(
        "authorize",
        lambda _request: providers.AuthorizeResult(
            outcome=Outcome.SUCCEEDED, next_action=providers.NextAction(type="redirect", url=url)
        ),
    )

    answer = guest.post(f"storefront/payment-sessions/{session.pk}/authorize/")

    settled(answer, "authorize")
    assert answer.body["next_action"] is None


def test_a_session_that_can_not_be_stored_is_unknown(
    guest: Visitor, collection: PaymentCollection, script: Script
) -> None:
    script.next(
        "initiate", providers.InitiateResult(outcome=Outcome.SUCCEEDED, provider_data={"a": float("inf")})
    )
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    settled(guest.post(path, {"provider_id": "scripted"}), "initiate")


def test_a_refusal_that_can_not_be_stored_is_unknown(boss: Visitor, payment: Payment, script: Script) -> None:
    refusal = providers.Failure(code="declined", message="no\0")
    script.next("capture", providers.CaptureResult(outcome=Outcome.DECLINED, failure=refusal))
    settled(boss.post(f"staff/payments/{payment.pk}/capture/"), "capture")


def test_an_amount_that_is_no_number_is_unknown(boss: Visitor, payment: Payment, script: Script) -> None:
    told: Any = {"amount": "100.00", "currency_code": "eur"}
    script.next(
        "capture", providers.CaptureResult(outcome=Outcome.SUCCEEDED, releases_remainder=True, **told)
    )
    settled(boss.post(f"staff/payments/{payment.pk}/capture/"), "capture")


def test_a_report_that_can_not_be_stored_is_none(boss: Visitor, payment: Payment, script: Script) -> None:
    fact = providers.SessionFact(currency_code="eur", provider_data={"id": "a\0b"})
    script.next("retrieve", providers.RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact))
    asked = boss.post(f"staff/payments/{payment.pk}/sync/")
    assert asked.error[:3] == (503, "provider_error", "outcome_unknown")


@pytest.mark.shows(
    "A signed event of which a plug-in makes what can't be stored or shown", "400; nothing is stored"
)
@pytest.mark.parametrize(
    "values",
    [
        {"payload": {"a": float("nan")}},
        {"payload": {"a": "\0"}},
        {"fact": providers.SessionFact(currency_code="eur", data={"client_token": "\0"})},
        {"fact": providers.SessionFact(currency_code="eur", next_action={"type": "popup"})},  # type: ignore[arg-type]
        {"fact": {"currency_code": "eur"}},
        {"event_type": 5},
        {"session_id": "\0"},
    ],
    ids=lambda values: next(iter(values)),
)
def test_an_event_that_can_not_be_stored_is_refused(
    guest: Visitor, payment: Payment, script: Script, values: dict[str, Any]
) -> None:
    known = {"event_id": "evt_1", "event_type": "x", "session_id": payment.session_id}
    script.next("parse_webhook", providers.WebhookResult(**{**known, **values}))
    answer = guest.post("webhooks/scripted/", {})
    assert answer.error[:3] == (400, "webhook_error", "webhook_malformed")
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize("url", daily(URLS, step=3), ids=repr)
def test_an_event_never_sends_a_payer_to_what_is_no_web_address(
    guest: Visitor, collection: PaymentCollection, script: Script, url: Any
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted")

    def event(_request: object) -> providers.WebhookResult:
        action = providers.NextAction(type="redirect", url=url)
        fact = providers.SessionFact(
            currency_code="eur", status=SessionStatus.REQUIRES_MORE, next_action=action
        )
        return providers.WebhookResult(event_id="evt_1", event_type="x", session_id=session.pk, fact=fact)

    script.next("parse_webhook", event)
    assert guest.post("webhooks/scripted/", {}).status == 400
    assert guest.get(f"storefront/payment-sessions/{session.pk}/").body["next_action"] is None
