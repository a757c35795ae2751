"""From an order to an authorization: what PayPal is told, what a browser gets, and money that takes its time."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from payments import services
from payments.api.storefront.access import client_secret
from payments.exceptions import DeclinedError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.providers import PaymentContext
from payments.states import OperationStatus, PaymentStatus, SessionStatus
from payments.testing import SessionDriver, configured_provider
from payments.testing.contract.driver import fact_of
from tests.api.client import Visitor
from tests.fakes import Json
from tests.paypal.conftest import BACKEND, authorized, driver_for, options_for, provider_for
from tests.paypal.fake import FakePayPal, Funding
from tests.paypal.fake.service import CLIENT_ID
from tests.reliability.clocks import TestClock


def creation(fake: FakePayPal) -> Json:
    """Return what PayPal was told when an order was made."""
    [request] = [row for row in fake.requests if row.path == "/v2/checkout/orders"]
    body: Json = request.body
    return body


@pytest.mark.database_independent
class TestOrder:
    """What is asked of PayPal, and what it gives to the browser."""

    def test_an_order_says_whose_it_is_and_where_its_payer_comes_back(self, fake: FakePayPal) -> None:
        options = {"brand_name": "Shop", "soft_descriptor": "SHOP 7", "intent": "authorize"}
        driver = SessionDriver(
            provider=provider_for(fake, **options),
            context=PaymentContext(description="Order 1001", return_url="https://shop.example/back"),
        )
        driver.initiate()
        assert creation(fake) == {
            "intent": "AUTHORIZE",
            "purchase_units": [
                {
                    "amount": {"currency_code": "EUR", "value": "100.00"},
                    "custom_id": driver.session_id,
                    "invoice_id": driver.session_id,
                    "description": "Order 1001",
                    "soft_descriptor": "SHOP 7",
                }
            ],
            "payment_source": {
                "paypal": {
                    "experience_context": {
                        "user_action": "PAY_NOW",
                        "shipping_preference": "NO_SHIPPING",
                        "payment_method_preference": "UNRESTRICTED",
                        "brand_name": "Shop",
                        "return_url": "https://shop.example/back",
                        "cancel_url": "https://shop.example/back",
                    }
                }
            },
        }

    def test_a_long_description_is_cut(self, fake: FakePayPal) -> None:
        driver = SessionDriver(
            provider=provider_for(fake), context=PaymentContext(description="x" * 200, return_url=None)
        )
        driver.initiate()
        assert creation(fake)["purchase_units"][0]["description"] == "x" * 127
        assert "return_url" not in str(creation(fake))

    def test_nothing_about_the_payer_is_told(self, fake: FakePayPal) -> None:
        driver = driver_for(fake)
        assert driver.context.email is not None
        assert driver.context.email not in str([row.body for row in fake.requests])

    def test_data_is_what_the_browser_needs_and_no_more(self, fake: FakePayPal) -> None:
        driver = authorized(fake)
        assert driver.data == {
            "order_id": driver.provider_reference,
            "status": "COMPLETED",
            "client_id": CLIENT_ID,
            "approve_url": f"{fake.url}/checkoutnow?token={driver.provider_reference}",
        }

    def test_a_canceled_session_s_order_is_marked(self, fake: FakePayPal) -> None:
        driver = driver_for(fake)
        driver.cancel()
        driver.cancel()
        order = fake.order_of(driver.session_id)
        assert order.data["unit"]["custom_id"] == f"{driver.session_id}/canceled"
        assert fact_of(driver).status == SessionStatus.CANCELED


@pytest.mark.django_db(transaction=True)
class TestStorefront:
    """A payer's way, over the storefront's API."""

    @pytest.fixture
    def guest(self, collection: PaymentCollection) -> Visitor:
        return Visitor(secret=client_secret(collection.pk))

    def test_a_payer_goes_to_paypal_and_comes_back(
        self, shop: FakePayPal, collection: PaymentCollection, guest: Visitor
    ) -> None:
        path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
        created = guest.post(path, {"provider_id": "paypal"})
        assert (created.status, created.body["status"]) == (201, "requires_more")
        assert set(created.body["data"]) == {"approve_url", "client_id", "order_id", "status"}
        assert created.body["next_action"]["url"] == created.body["data"]["approve_url"]
        authorize = f"storefront/payment-sessions/{created.body['id']}/authorize/"
        early = guest.post(authorize, {})
        assert (early.status, early.body["status"]) == (200, "requires_more")
        shop.orders.approve(created.body["data"]["order_id"])
        done = guest.post(authorize, {})
        assert (done.status, done.body["status"], done.body["authorized_amount"]) == (
            200,
            "authorized",
            "100.00",
        )

    @pytest.mark.database_independent
    @pytest.mark.shows(
        "PayPal forgets the order of an installment that its customer has looked at and not approved",
        "The next try makes a new order, so that the installment can still be paid",
    )
    def test_a_forgotten_order_is_made_anew(self, shop: FakePayPal, collection: PaymentCollection) -> None:
        [part, _later] = services.create_installment_plan(
            collection, provider_id="paypal", count=2, interval="month"
        )
        services.authorize_payment_session(part, by_payer=True)
        part.refresh_from_db()
        forgotten = part.provider_reference or ""
        shop.orders.lapse(forgotten)
        services.authorize_payment_session(part, by_payer=True)
        part.refresh_from_db()
        assert (part.status, part.error_code, part.data) == ("error", "invalid_resource_id", {})

        services.authorize_payment_session(part, by_payer=True)
        part.refresh_from_db()
        assert part.status == "requires_more"
        assert part.provider_reference not in (None, forgotten)
        shop.orders.approve(part.provider_reference or "")
        assert services.authorize_payment_session(part, by_payer=True).status == "authorized"

    def test_a_browser_sends_nothing_to_paypal(
        self, shop: FakePayPal, collection: PaymentCollection, guest: Visitor
    ) -> None:
        path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
        refused = guest.post(path, {"provider_id": "paypal", "data": {"intent": "CAPTURE"}})
        assert (refused.status, refused.body["code"]) == (400, "unknown_data_key")
        assert shop.books.rows == {}

    @pytest.mark.database_independent
    def test_a_currency_that_paypal_does_not_take_is_refused_in_words(
        self, db: None, shop: FakePayPal
    ) -> None:
        collection = services.create_payment_collection(amount="5.000", currency_code="kwd")
        path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
        refused = Visitor(secret=client_secret(collection.pk)).post(path, {"provider_id": "paypal"})
        assert (refused.status, refused.body["code"]) == (402, "currency_not_supported")
        assert "KWD" in refused.body["message"]


@pytest.mark.django_db(transaction=True)
class TestBooks:
    """Money that takes its time, and amounts that change."""

    @pytest.mark.parametrize(
        ("accepts", "status"),
        [
            (True, SessionStatus.AUTHORIZED),
            pytest.param(False, SessionStatus.ERROR, marks=pytest.mark.database_independent),
        ],
    )
    def test_a_payment_in_review_is_pending_until_paypal_has_decided(
        self, shop: FakePayPal, session: PaymentSession, clock: TestClock, accepts: bool, status: str
    ) -> None:
        order_id = session.provider_reference or ""
        shop.orders.approve(order_id, Funding.IN_REVIEW)
        services.authorize_payment_session(session)
        operation = PaymentOperation.objects.get(kind="authorize")
        assert (operation.status, session.payment) == (OperationStatus.PENDING, None)
        shop.orders.settle_authorization(order_id, accepts=accepts)
        clock.advance(timedelta(minutes=2))
        services.reconcile_due()
        session.refresh_from_db()
        assert session.status == status
        assert not PaymentOperation.objects.open().exists()

    @pytest.mark.database_independent
    @pytest.mark.shows(
        "The payer's money is gone when PayPal holds it no more for certain, and it is captured only then",
        "refused with PayPal's issue; the amount stays authorized, and can be captured once it is there again",
    )
    def test_what_is_captured_too_late_is_refused_and_can_be_tried_again(
        self, shop: FakePayPal, payment: Payment
    ) -> None:
        authorization = shop.authorization_of(payment.session_id)
        shop.movements.run_dry(authorization.id)
        with pytest.raises(DeclinedError) as caught:
            services.capture_payment(payment)
        assert caught.value.code == "payer_cannot_pay"
        payment.refresh_from_db()
        assert payment.status == PaymentStatus.AUTHORIZED
        assert payment.captured_amount == 0
        assert not PaymentOperation.objects.open().exists()
        shop.movements.run_dry(authorization.id, again=True)
        assert services.capture_payment(payment).captured_amount == Decimal("100.00")

    @pytest.mark.database_independent
    def test_an_echeck_is_pending_until_it_clears(self, fake: FakePayPal, clock: TestClock) -> None:
        entry = {"BACKEND": BACKEND, "OPTIONS": options_for(fake, intent="capture")}
        with configured_provider("paypal", entry):
            collection = services.create_payment_collection(amount="100.00", currency_code="eur")
            session = services.create_payment_session(collection, provider_id="paypal")
            fake.orders.approve(session.provider_reference or "", Funding.ECHECK)
            services.authorize_payment_session(session)
            assert not collection.payments.exists()
            [capture] = fake.captures_of(session.pk)
            fake.movements.settle_capture(capture.id, succeeds=True)
            clock.advance(timedelta(minutes=2))
            services.reconcile_due()
            payment = collection.payments.get()
            assert payment.captured_amount == Decimal("100.00")
            assert payment.captures.get().provider_reference == capture.id

    @pytest.mark.database_independent
    def test_a_changed_amount_is_changed_at_paypal_and_approved_as_it_is_then(
        self, shop: FakePayPal, session: PaymentSession
    ) -> None:
        services.update_payment_session(session, amount="60.00")
        assert shop.order_of(session.pk).amount == Decimal("60.00")
        shop.orders.approve(session.provider_reference or "")
        services.authorize_payment_session(session)
        assert session.payment is not None
        assert session.payment.amount == Decimal("60.00")
