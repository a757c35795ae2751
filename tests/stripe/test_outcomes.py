"""How certain an answer is: nothing done, refused, done, or nobody knows."""

from __future__ import annotations

import pytest
import stripe

from payments.providers.stripe import StripeOptions
from payments.providers.stripe.client import StripeApi
from payments.providers.stripe.errors import StripeAnswerError
from payments.states import Outcome
from payments.testing import SessionDriver
from payments.testing.contract.wire import closed_address
from tests.fakes import USELESS
from tests.providers.results import refusal_of
from tests.stripe.conftest import driver_for, options_for, provider_for
from tests.stripe.fake import FakeStripe, Fault

pytestmark = pytest.mark.database_independent


def authorized(fake: FakeStripe) -> SessionDriver:
    driver = driver_for(fake)
    assert driver.authorize().outcome == Outcome.SUCCEEDED
    return driver


@pytest.mark.parametrize("fault", USELESS)
def test_after_a_useless_answer_nobody_knows(fake: FakeStripe, fault: Fault) -> None:
    driver = authorized(fake)
    fake.misbehave("capture", fault)
    assert driver.capture().outcome == Outcome.UNKNOWN
    assert fake.intent_of(driver.session_id)["amount_received"] == (10000 if fault.acts else 0)


def test_too_many_requests_means_that_nothing_was_done(fake: FakeStripe) -> None:
    driver = authorized(fake)
    fake.misbehave("capture", Fault.TOO_MANY)
    assert driver.capture().outcome == Outcome.NOT_SENT
    assert driver.resend().outcome == Outcome.SUCCEEDED


def test_a_refused_key_means_that_nothing_was_done(fake: FakeStripe) -> None:
    driver = SessionDriver(provider=provider_for(fake, api_key="sk_test_wrong"))
    result = driver.initiate()
    assert result.outcome == Outcome.NOT_SENT
    assert result.failure is not None
    assert "sk_test" not in f"{result!r}"


def test_a_connection_that_was_refused_means_that_nothing_was_done(fake: FakeStripe) -> None:
    with closed_address() as url:
        for retries in (0, 1):
            driver = SessionDriver(provider=provider_for(fake, api_base=url, max_network_retries=retries))
            assert driver.initiate().outcome == Outcome.NOT_SENT


def test_a_stored_error_stays_unknown_however_often_it_is_sent(fake: FakeStripe) -> None:
    driver = authorized(fake)
    fake.misbehave("capture", Fault.ERROR_BEFORE)
    outcomes = {driver.capture().outcome, driver.resend().outcome, driver.resend().outcome}
    assert outcomes == {Outcome.UNKNOWN}
    assert fake.intent_of(driver.session_id)["amount_received"] == 0


def test_the_same_key_with_other_parameters_is_unknown(fake: FakeStripe) -> None:
    driver = authorized(fake)
    driver.capture(idempotency_key="one", operation_id="payop_1")
    result = driver.capture(idempotency_key="one", operation_id="payop_2")
    assert result.outcome == Outcome.UNKNOWN
    assert isinstance(driver.error, stripe.IdempotencyError)


@pytest.mark.parametrize(
    ("fault", "outcome", "sendings"),
    [
        (Fault.SILENCE_AFTER, Outcome.SUCCEEDED, 2),
        (Fault.CONFLICT, Outcome.SUCCEEDED, 2),
        (Fault.ERROR_AFTER, Outcome.UNKNOWN, 2),
        (Fault.CUT_OFF_AFTER, Outcome.UNKNOWN, 1),
    ],
)
def test_a_request_is_repeated_under_its_key_and_nothing_is_done_twice(
    fake: FakeStripe, fault: Fault, outcome: Outcome, sendings: int
) -> None:
    driver = driver_for(fake, max_network_retries=1)
    driver.authorize()
    driver.capture()
    fake.misbehave("refund", fault)
    assert driver.refund().outcome == outcome
    posts = [request for request in fake.requests if request.method == "POST"]
    sent = [request.key for request in posts if request.path == "/v1/refunds"]
    assert sent == [driver.operation_ids[-1]] * sendings
    assert len(fake.books.all("refund")) == 1


@pytest.mark.parametrize("first", [Fault.SILENCE_AFTER, Fault.CONFLICT])
def test_an_attempt_that_may_have_been_acted_on_is_never_called_undone(
    fake: FakeStripe, first: Fault
) -> None:
    driver = driver_for(fake, max_network_retries=1)
    driver.authorize()
    fake.misbehave("capture", first)
    fake.misbehave("capture", Fault.TOO_MANY)
    assert driver.capture().outcome == Outcome.UNKNOWN


def test_a_refusal_is_not_believed_after_an_attempt_that_may_have_been_acted_on(fake: FakeStripe) -> None:
    driver = driver_for(fake, max_network_retries=1)
    driver.authorize()
    driver.capture()
    fake.misbehave("refund", Fault.SILENCE_AFTER)
    fake.forgets_keys = True
    assert driver.refund().outcome == Outcome.UNKNOWN


def test_a_card_s_refusal_is_believed_even_then(fake: FakeStripe) -> None:
    driver = driver_for(fake, "pm_card_visa_chargeDeclined", max_network_retries=1)
    fake.misbehave("confirm", Fault.SILENCE_AFTER)
    assert driver.authorize().outcome == Outcome.DECLINED


def test_an_answer_of_the_other_mode_is_of_no_use(fake: FakeStripe) -> None:
    fake.books.livemode = True
    driver = SessionDriver(provider=provider_for(fake))
    assert driver.initiate().outcome == Outcome.UNKNOWN
    assert isinstance(driver.error, StripeAnswerError)


def test_a_list_without_end_is_given_up(fake: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.providers.stripe.client.PAGE", 1)
    driver = authorized(fake)
    driver.capture()
    for _number in range(21):
        fake.movements.refund({"payment_intent": driver.provider_reference, "amount": 10})
    assert driver.retrieve().outcome == Outcome.UNKNOWN


def test_a_missing_intent_is_a_definite_refusal(fake: FakeStripe) -> None:
    driver = driver_for(fake)
    assert refusal_of(driver.authorize(provider_reference="pi_nobody")).code == "resource_missing"
    assert driver.cancel(provider_reference="pi_nobody").outcome == Outcome.DECLINED


def test_a_search_that_lags_behind_finds_nothing_and_says_so(fake: FakeStripe) -> None:
    driver = driver_for(fake)
    fake.books.is_searchable = False
    result = driver.retrieve(provider_reference=None)
    assert (result.outcome, result.fact) == (Outcome.SUCCEEDED, None)
    fake.books.is_searchable = True
    assert driver.retrieve(provider_reference=None).fact is not None


def test_telemetry_is_off_and_the_version_pinned(fake: FakeStripe) -> None:
    authorized(fake)
    assert stripe.enable_telemetry is False
    for request in fake.requests:
        assert "x-stripe-client-telemetry" not in request.headers
        assert request.headers["stripe-version"] == "2026-10-28.endive"


def test_every_post_has_a_key_of_ours(fake: FakeStripe) -> None:
    driver = authorized(fake)
    driver.capture()
    driver.refund()
    keys = [request.key for request in fake.requests if request.method == "POST"]
    assert keys == driver.operation_ids


def test_answers_are_plain_dicts(fake: FakeStripe) -> None:
    driver = authorized(fake)
    api = StripeApi(StripeOptions(**options_for(fake)))
    intent = api.intent(driver.provider_reference or "")
    assert type(intent) is dict
    assert type(intent["latest_charge"]["payment_method_details"]["card"]) is dict
