"""The fake is as strict as Stripe: what it refuses, what it replays, and that it knows no parameter of its own.

A fake that allows too much proves nothing, so this is tested with Stripe's own library and no code of ours.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import stripe
from stripe import params as p

from tests.stripe.fake import FakeStripe, parameters
from tests.stripe.fake.books import API_VERSION
from tests.stripe.fake.service import API_KEY

pytestmark = pytest.mark.database_independent

IS_NEWEST = stripe.api_version == API_VERSION
CREATE = {"amount": 1000, "currency": "eur", "capture_method": "manual", "payment_method": "pm_card_visa"}


@pytest.fixture
def api(fake: FakeStripe) -> typing.Iterator[Any]:
    """Stripe's own library, pointed at the fake."""
    http = stripe.RequestsClient(timeout=2)
    client = stripe.StripeClient(
        API_KEY, base_addresses={"api": fake.url}, http_client=http, stripe_version=API_VERSION
    )
    yield client.v1
    http.close()  # type: ignore[no-untyped-call]


def refusal(call: Callable[[], object]) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as caught:
        call()
    return caught.value


@pytest.mark.skipif(not IS_NEWEST, reason="the older library's types are of an older version of the API")
@pytest.mark.parametrize(
    ("known", "published"),
    [
        (parameters.CREATE_INTENT, p.PaymentIntentCreateParams),
        (parameters.UPDATE_INTENT, p.PaymentIntentUpdateParams),
        (parameters.CONFIRM_INTENT, p.PaymentIntentConfirmParams),
        (parameters.CAPTURE_INTENT, p.PaymentIntentCaptureParams),
        (parameters.CANCEL_INTENT, p.PaymentIntentCancelParams),
        (parameters.RETRIEVE_INTENT, p.PaymentIntentRetrieveParams),
        (parameters.SEARCH_INTENTS, p.PaymentIntentSearchParams),
        (parameters.CREATE_REFUND, p.RefundCreateParams),
        (parameters.LIST_REFUNDS, p.RefundListParams),
        (parameters.LIST_DISPUTES, p.DisputeListParams),
        (parameters.LIST_WEBHOOK_ENDPOINTS, p.WebhookEndpointListParams),
        (parameters.CREATE_CUSTOMER, p.CustomerCreateParams),
        (parameters.LIST_PAYMENT_METHODS, p.CustomerPaymentMethodListParams),
        (parameters.CREATE_SETUP_INTENT, p.SetupIntentCreateParams),
        (parameters.SEARCH_CUSTOMERS, p.CustomerSearchParams),
        (parameters.DETACH, p.PaymentMethodDetachParams),
    ],
)
def test_every_parameter_that_the_fake_knows_is_published(
    known: Mapping[str, Any], published: type[Any]
) -> None:
    assert set(known) <= set(published.__annotations__)


@pytest.mark.parametrize(
    ("extra", "code", "param"),
    [
        ({"amonut": 5}, "parameter_unknown", "amonut"),
        ({"payment_method_types": ["card"]}, "parameter_unknown", "payment_method_types"),
        ({"automatic_payment_methods": {"on": True}}, "parameter_unknown", "automatic_payment_methods[on]"),
        ({"amount": "10.00"}, "parameter_invalid_integer", "amount"),
        ({"description": ""}, "parameter_invalid_empty", "description"),
        ({"capture_method": "later"}, None, "capture_method"),
        ({"metadata": {"x": "y" * 501}}, None, "metadata"),
        ({"metadata": {"k" * 41: "y"}}, None, "metadata"),
    ],
)
def test_unknown_and_malformed_parameters_are_refused(
    api: Any, extra: dict[str, Any], code: str | None, param: str
) -> None:
    error = refusal(lambda: api.payment_intents.create({**CREATE, **extra}))
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.code, error.param) == (code, param)


def test_missing_parameters_are_refused(api: Any) -> None:
    assert refusal(lambda: api.payment_intents.create({"currency": "eur"})).code == "parameter_missing"


def test_a_wrong_key_and_a_wrong_version_are_refused(fake: FakeStripe) -> None:
    for changes, error_class in (
        ({"api_key": "sk_test_wrong"}, stripe.AuthenticationError),
        ({"stripe_version": "2020-08-27"}, stripe.InvalidRequestError),
    ):
        http = stripe.RequestsClient(timeout=2)
        arguments: dict[str, Any] = {"api_key": API_KEY, "stripe_version": API_VERSION, **changes}
        client = stripe.StripeClient(base_addresses={"api": fake.url}, http_client=http, **arguments)
        assert isinstance(refusal(lambda c=client: c.v1.refunds.list()), error_class)  # type: ignore[misc]
        http.close()  # type: ignore[no-untyped-call]


def test_a_key_answers_as_it_did_first(api: Any, fake: FakeStripe) -> None:
    first = api.payment_intents.create(CREATE, {"idempotency_key": "k1"})
    again = api.payment_intents.create(CREATE, {"idempotency_key": "k1"})
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert fake.executed == ["create"]


def test_a_key_with_other_parameters_is_refused(api: Any) -> None:
    api.payment_intents.create(CREATE, {"idempotency_key": "k1"})
    error = refusal(lambda: api.payment_intents.create({**CREATE, "amount": 2000}, {"idempotency_key": "k1"}))
    assert isinstance(error, stripe.IdempotencyError)


def test_a_stored_refusal_is_replayed_and_a_malformed_request_is_not_stored(api: Any) -> None:
    intent = api.payment_intents.create({**CREATE, "payment_method": "pm_card_visa_chargeDeclined"})
    errors = [
        refusal(lambda: api.payment_intents.confirm(intent.id, {}, {"idempotency_key": "k1"}))
        for _time in range(2)
    ]
    assert all(isinstance(error, stripe.CardError) for error in errors)
    assert (errors[1].headers or {})["Idempotent-Replayed"] == "true"
    refusal(lambda: api.payment_intents.create({"currency": "eur"}, {"idempotency_key": "k2"}))
    assert api.payment_intents.create(CREATE, {"idempotency_key": "k2"}).id


def test_wrong_states_are_refused_with_their_code(api: Any) -> None:
    intent = api.payment_intents.create(CREATE)
    assert refusal(lambda: api.payment_intents.capture(intent.id)).code == "payment_intent_unexpected_state"
    api.payment_intents.confirm(intent.id)
    for call in (
        lambda: api.payment_intents.confirm(intent.id),
        lambda: api.payment_intents.update(intent.id, {"amount": 500}),
    ):
        assert refusal(call).code == "payment_intent_unexpected_state"
    api.payment_intents.capture(intent.id)
    for call in (
        lambda: api.payment_intents.capture(intent.id),
        lambda: api.payment_intents.cancel(intent.id),
    ):
        assert refusal(call).code == "payment_intent_unexpected_state"


def test_more_than_there_is_cannot_be_captured_or_refunded(api: Any) -> None:
    intent = api.payment_intents.create({**CREATE, "confirm": True})
    too_much = refusal(lambda: api.payment_intents.capture(intent.id, {"amount_to_capture": 1001}))
    assert too_much.code == "amount_too_large"
    early = refusal(lambda: api.refunds.create({"payment_intent": intent.id}))
    assert early.user_message == (
        f"This PaymentIntent ({intent.id}) does not have a successful charge to refund."
    )
    api.payment_intents.capture(intent.id, {"amount_to_capture": 600})
    over = refusal(lambda: api.refunds.create({"payment_intent": intent.id, "amount": 601}))
    assert isinstance(over, stripe.InvalidRequestError)
    assert (over.code, over.param) == (None, "amount")
    api.refunds.create({"payment_intent": intent.id})
    assert (
        refusal(lambda: api.refunds.create({"payment_intent": intent.id})).code == "charge_already_refunded"
    )


def test_final_capture_needs_multicapture(api: Any) -> None:
    intent = api.payment_intents.create({**CREATE, "confirm": True})
    error = refusal(
        lambda: api.payment_intents.capture(intent.id, {"amount_to_capture": 1, "final_capture": False})
    )
    assert isinstance(error, stripe.InvalidRequestError)
    assert error.param == "final_capture"


def test_unknown_addresses_and_ids_are_404(api: Any) -> None:
    error = refusal(lambda: api.payment_intents.retrieve("pi_nobody"))
    assert (error.http_status, error.code) == (404, "resource_missing")
    assert refusal(api.payouts.list).http_status == 404


def test_events_can_be_read_by_stripe_s_library(api: Any, fake: FakeStripe) -> None:
    api.payment_intents.create({**CREATE, "confirm": True})
    types = [stripe.Event.construct_from(event, API_KEY).type for event in fake.events()]
    assert types == ["payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated"]
