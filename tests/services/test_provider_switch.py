"""Providers that are unknown, disabled, or gone from the settings; what payers may send to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from payments import services
from payments.exceptions import InputError, NotFoundError, ProviderUnavailableError
from payments.models import Payment, PaymentCollection, PaymentProvider, PaymentSession
from payments.providers import InitiateResult
from payments.states import Outcome
from payments.testing import Script
from tests.services.facts import books
from tests.services.results import SCRIPTS

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

WITHOUT_CARD = {
    "ALLOW_PRETEND_MONEY": True,
    "PROVIDERS": {
        "wallet": {"BACKEND": "payments.testing.scripted.ScriptedProvider"},
        "system": {"BACKEND": "payments.providers.system.SystemProvider"},
    },
}


def test_unknown_provider_is_named(collection: PaymentCollection) -> None:
    with pytest.raises(NotFoundError) as refusal:
        services.create_payment_session(collection, provider_id="paypal")
    assert (refusal.value.code, refusal.value.field) == ("unknown_provider", "provider_id")
    assert "paypal" in refusal.value.message
    assert not PaymentProvider.objects.filter(pk="paypal").exists()


def test_disabled_provider_takes_no_new_session_and_finishes_what_it_has(
    collection: PaymentCollection, card: Script
) -> None:
    old = services.create_payment_session(collection, provider_id="card", amount="60.00")
    services.disable_provider(PaymentProvider.objects.get(pk="card"))
    for verb in (services.create_payment_session, _plan):
        with pytest.raises(InputError) as refusal:
            verb(collection, provider_id="card")
        assert (refusal.value.code, refusal.value.field) == ("provider_disabled", "provider_id")
    payment = services.authorize_payment_session(old).payment
    assert payment is not None
    services.capture_payment(payment, amount="30.00")
    services.refund_payment(payment)
    services.cancel_payment(payment)
    services.enable_provider(PaymentProvider.objects.get(pk="card"))
    assert services.create_payment_session(collection, provider_id="card").status == "pending"


def _plan(collection: PaymentCollection, *, provider_id: str) -> Any:
    return services.create_installment_plan(collection, provider_id=provider_id, count=2, interval="month")


def test_configured_providers_are_listed_in_order_and_have_rows_made(db: None) -> None:
    assert [provider.pk for provider in services.list_providers()] == ["card", "wallet", "system"]
    assert all(provider.is_enabled for provider in services.list_providers())
    assert PaymentProvider.objects.count() == 3


def test_rows_of_a_provider_that_is_gone_stay_readable(payment: Payment, settings: Any) -> None:
    services.capture_payment(payment, amount="60.00")
    settings.PAYMENTS = WITHOUT_CARD
    again = Payment.objects.select_related("session", "provider").get()
    assert (again.provider.pk, again.status, str(again.session)[:7]) == (
        "card",
        "partially_captured",
        "payses_",
    )
    assert again.collection.events.exists()
    assert [provider.pk for provider in services.list_providers()] == ["wallet", "system"]


def test_verbs_on_a_provider_that_is_gone_are_refused_and_leave_nothing_behind(
    collection: PaymentCollection, settings: Any
) -> None:
    held = services.create_payment_session(collection, provider_id="card", amount="60.00")
    payment = services.authorize_payment_session(held).payment
    assert payment is not None
    services.capture_payment(payment, amount="30.00")
    waiting = services.create_payment_session(collection, provider_id="card", amount="10.00")
    settings.PAYMENTS = WITHOUT_CARD
    before = books()
    for verb in (
        lambda: services.authorize_payment_session(waiting),
        lambda: services.update_payment_session(waiting, amount="5.00"),
        lambda: services.capture_payment(payment),
        lambda: services.refund_payment(payment),
        lambda: services.cancel_payment(payment),
        lambda: services.sync_payment_session(held),
    ):
        with pytest.raises(ProviderUnavailableError) as refusal:
            verb()
        assert (refusal.value.code, refusal.value.field) == ("provider_not_configured", "provider_id")
    assert books() == before


def test_shopper_can_pay_elsewhere_when_the_session_has_no_provider_any_more(
    session: PaymentSession, settings: Any
) -> None:
    settings.PAYMENTS = WITHOUT_CARD
    other = services.create_payment_session(session.collection, provider_id="wallet")
    session.refresh_from_db()
    assert session.status == "canceled"
    assert services.authorize_payment_session(other).status == "authorized"


def test_unauthorized_sessions_of_a_provider_that_is_gone_can_be_canceled(
    session: PaymentSession, settings: Any
) -> None:
    settings.PAYMENTS = WITHOUT_CARD
    services.cancel_payment_collection(session.collection)
    session.refresh_from_db()
    assert (session.status, session.collection.status) == ("canceled", "canceled")


def test_misconfigured_provider_is_found_out_before_anything_is_claimed(
    payment: Payment, settings: Any
) -> None:
    broken = {"BACKEND": "payments.testing.scripted.ScriptedProvider", "OPTIONS": {"api_key": "sk"}}
    settings.PAYMENTS = {"PROVIDERS": {"card": broken}}
    before = books()
    with pytest.raises(ImproperlyConfigured, match="api_key"):
        services.capture_payment(payment)
    assert books() == before


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"capture_method": "automatic"}, "unknown_data_key"),
        ({"token": "tok", "amount": 1}, "unknown_data_key"),
        (["token"], "invalid_data"),
        ("token", "invalid_data"),
    ],
)
def test_keys_that_the_provider_does_not_take_are_refused(
    collection: PaymentCollection, session: PaymentSession, card: Script, data: Any, code: str
) -> None:
    before = books()
    verbs: list[Callable[[], object]] = [
        lambda: services.create_payment_session(collection, provider_id="card", data=data),
        lambda: services.update_payment_session(session, data=data),
        lambda: services.authorize_payment_session(session, data=data),
    ]
    for verb in verbs:
        with pytest.raises(InputError) as refusal:
            verb()
        assert (refusal.value.code, refusal.value.field) == (code, "data")
    assert books() == before
    assert card.verbs == ["initiate"]


def test_undeclared_public_keys_are_dropped(
    collection: PaymentCollection, card: Script, caplog: pytest.LogCaptureFixture
) -> None:
    card.next(
        "initiate",
        InitiateResult(outcome=Outcome.SUCCEEDED, data={"client_token": "tok", "customer": "cus_s3cr3t"}),
    )
    session = services.create_payment_session(collection, provider_id="card")
    assert session.data == {"client_token": "tok"}
    assert "customer" in caplog.text
    assert "cus_s3cr3t" not in caplog.text


def test_exceptions_of_a_plug_in_are_logged_by_their_type_alone(
    collection: PaymentCollection, caplog: pytest.LogCaptureFixture
) -> None:
    SCRIPTS["card"].next("initiate", ValueError("card 4242424242424242 refused"))
    with pytest.raises(Exception, match="isn't known yet"):
        services.create_payment_session(collection, provider_id="card")
    assert "ValueError" in caplog.text
    assert "4242424242424242" not in caplog.text
    assert "4242424242424242" not in str(books())
