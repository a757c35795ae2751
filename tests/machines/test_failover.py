"""A primary that dies in the midst of flows: a standby takes over, and the books end as the provider's."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psycopg
import pytest

from payments import services
from payments.models import Payment, PaymentSession
from tests.embedded_postgresql import EmbeddedPostgreSQL
from tests.machines.conftest import Home, asking, wait_for_standby
from tests.machines.crowds import assert_all_is_done, purchases
from tests.machines.pooler import Pooler
from tests.machines.shoppers import Purchase

pytestmark = [pytest.mark.database_independent, pytest.mark.thorough]

PATIENCE = 30.0


@pytest.mark.parametrize("commit", ["on", "remote_apply"])
def test_synchronous_standby_has_all_that_was_answered(
    commit: str, home: Home, standby: EmbeddedPostgreSQL, pooler: Pooler
) -> None:
    with psycopg.connect(home.server.url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE shop SET synchronous_commit = {commit}")
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
    shop = home.shop(pooler.url)
    with shop.running(hosts=2, workers=2), ThreadPoolExecutor(1) as pool:
        buying = pool.submit(purchases, shop, home.operator, patience=PATIENCE)
        while len(home.bank.intents()) < 10:
            time.sleep(0.05)
        home.server.kill()
        standby.promote()
        pooler.point_at(standby)
        made = buying.result()
        home.bank.wait_for_webhooks(20)
    with asking(standby.url):
        for purchase in made:
            assert_is_kept(purchase)
        assert [purchase for purchase in made if purchase.refunded]
        assert "OperationalError" in shop.errors()
        assert_all_is_done(home.bank)


def assert_is_kept(purchase: Purchase) -> None:
    """Make sure that what the shop has answered is in its books."""
    if purchase.session:
        assert PaymentSession.objects.filter(pk=purchase.session).exists()
    if purchase.captured:
        payment = Payment.objects.get(pk=purchase.payment)
        assert payment.captured_amount == 100
        assert payment.refunded_amount == 100 or not purchase.refunded


def test_what_an_asynchronous_standby_lacks_is_told_by_the_provider(
    home: Home, standby: EmbeddedPostgreSQL
) -> None:
    collections = [services.create_payment_collection(amount="100.00", currency_code="eur") for _ in range(3)]
    captured, authorized = (
        services.create_payment_session(collection, provider_id="simulator") for collection in collections[:2]
    )
    payment = services.authorize_payment_session(captured).payment
    assert payment is not None
    wait_for_standby(home.server, standby)
    with psycopg.connect(standby.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
        connection.execute("SELECT pg_reload_conf()")
        while connection.execute("SELECT count(*) FROM pg_stat_wal_receiver").fetchone() != (0,):
            time.sleep(0.02)
    services.capture_payment(payment, amount="60.00")
    services.authorize_payment_session(authorized)
    lost = services.create_payment_session(collections[2], provider_id="simulator")
    services.authorize_payment_session(lost)
    home.server.kill()
    standby.promote()
    with asking(standby.url):
        assert _captured(payment) == [Decimal(0)]
        for session in PaymentSession.objects.all():
            services.sync_payment_session(session)
        assert _captured(payment) == [Decimal(60), Decimal(0)]
        assert_all_is_done(home.bank)
    assert home.bank.totals(lost.pk).authorized == 10_000


def _captured(payment: Payment) -> list[Decimal]:
    """Return what is captured of a payment, and of all others after it."""
    amounts = dict(Payment.objects.order_by("created_at").values_list("pk", "captured_amount"))
    return [amounts.pop(payment.pk), *amounts.values()]
