"""The scripted provider: what is queued is answered, what isn't succeeds, and every request is kept."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured

from payments import providers
from payments.conf import provider_aliases
from payments.exceptions import (
    DeclinedError,
    NotSupportedError,
    OutcomeUnknownError,
    WebhookVerificationError,
)
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_payment_collection,
    create_payment_session,
    refund_payment,
)
from payments.states import Outcome, SessionStatus
from payments.testing import Script, configured_provider, scripted_provider

pytestmark = pytest.mark.database_independent

HUNDRED = Decimal("100.00")


@pytest.mark.django_db
def test_without_a_script_everything_succeeds_as_asked() -> None:
    with scripted_provider() as script:
        collection = create_payment_collection(amount=HUNDRED, currency_code="eur")
        session = create_payment_session(collection, provider_id="scripted")
        payment = authorize_payment_session(session, data={"code": "1"}).payment
        assert payment is not None
        refund_payment(capture_payment(payment), amount="40.00")
    assert script.verbs == ["initiate", "authorize", "capture", "refund"]
    assert script.requests("authorize")[0].input == {"code": "1"}
    assert script.requests("refund")[0].amount == Decimal("40.00")
    assert session.data == {"client_token": f"token_{session.pk}"}


@pytest.mark.django_db
def test_queued_results_and_errors_are_answered_in_their_order() -> None:
    with scripted_provider() as script:
        collection = create_payment_collection(amount=HUNDRED, currency_code="eur")
        session = create_payment_session(collection, provider_id="scripted")
        refusal = providers.AuthorizeResult(
            outcome=Outcome.DECLINED, failure=providers.Failure(code="stolen_card", message="No.")
        )
        script.next("authorize", refusal, TimeoutError())
        assert authorize_payment_session(session).status == SessionStatus.ERROR
        with pytest.raises(OutcomeUnknownError):
            authorize_payment_session(session)
    assert script.unused == {}


@pytest.mark.django_db
def test_a_queued_function_sees_the_request() -> None:
    def half(request: providers.CaptureRequest) -> providers.CaptureResult:
        raise DeclinedError(f"{request.amount} is too much.", code="too_much")

    with scripted_provider() as script:
        collection = create_payment_collection(amount=HUNDRED, currency_code="eur")
        session = create_payment_session(collection, provider_id="scripted")
        payment = authorize_payment_session(session).payment
        assert payment is not None
        script.next("capture", half)
        with pytest.raises(DeclinedError, match=r"100.0000 is too much"):
            capture_payment(payment)


@pytest.mark.django_db
def test_what_it_lacks_is_refused_by_the_services() -> None:
    with scripted_provider(lacks={"refund"}):
        collection = create_payment_collection(amount=HUNDRED, currency_code="eur")
        session = create_payment_session(collection, provider_id="scripted")
        payment = authorize_payment_session(session).payment
        assert payment is not None
        capture_payment(payment)
        with pytest.raises(NotSupportedError):
            refund_payment(payment)


def test_what_it_lacks_may_change_and_so_may_its_step() -> None:
    with scripted_provider() as script:
        provider = providers.get_provider("scripted")
        assert (provider.supports_refund, provider.amount_step("eur")) == (True, Decimal("0.01"))
        script.lacks.add("refund")
        script.step = Decimal(1)
        assert (provider.supports_refund, provider.amount_step("eur")) == (False, Decimal(1))


def test_an_answer_may_be_for_any_verb_or_stand() -> None:
    script = Script()
    asked = providers.RetrieveRequest(session_id="payses_1", amount=HUNDRED, currency_code="eur")
    any_verb, queued, standing, usual = (
        providers.RetrieveResult(outcome=Outcome.SUCCEEDED, provider_log={"number": number})
        for number in range(4)
    )
    script.next("*", any_verb)
    script.next("retrieve", queued)
    script.always("retrieve", standing)
    assert [script.answer("retrieve", asked, usual) for _time in range(3)] == [queued, any_verb, standing]
    script.next("retrieve", queued)
    script.clear()
    assert script.unused == {}
    assert script.answer("cancel", asked, usual) == usual
    script.next("cancel", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        script.answer("cancel", asked, usual)


def test_an_unknown_capability_names_the_known_ones() -> None:
    with scripted_provider(lacks={"teleport"}), pytest.raises(ImproperlyConfigured, match="partial_capture"):
        providers.get_provider("scripted")


def test_webhooks_are_refused_unless_one_is_queued() -> None:
    request = providers.WebhookRequest(body=b"{}", headers={})
    with scripted_provider() as script:
        provider = providers.get_provider("scripted")
        with pytest.raises(WebhookVerificationError):
            provider.parse_webhook(request)
        event = providers.WebhookResult(event_id="evt_1", event_type="paid")
        script.next("parse_webhook", event)
        assert provider.parse_webhook(request) is event
    assert script.requests("parse_webhook") == [request, request]


def test_answers_that_nobody_asked_for_are_counted() -> None:
    script = Script()
    script.next("capture", TimeoutError(), TimeoutError())
    assert script.unused == {"capture": 2}


def test_a_configured_provider_is_gone_after_its_block() -> None:
    before = provider_aliases()
    entry = {"BACKEND": "payments.providers.system.SystemProvider"}
    with configured_provider("cash", entry):
        assert provider_aliases() == (*before, "cash")
        with scripted_provider(alias="cash"):
            assert type(providers.get_provider("cash")).__name__ == "ScriptedProvider"
        assert type(providers.get_provider("cash")).__name__ == "SystemProvider"
    assert provider_aliases() == before
