"""A primary that dies in the midst of flows: a standby takes over, and the books end as the provider's."""

from __future__ import annotations

import time
from collections.abc import Iterable
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
from tests.webhooks.deliveries import bodies, deliver, only_event

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
        home.bank.wait_for_webhooks(5)
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
    pending = _session()
    payments = {name: _authorized(_session()) for name in ("captured", "refunded", "canceled")}
    services.capture_payment(payments["refunded"])
    wait_for_standby(home.server, standby)
    _stop_following(standby)
    _authorized(pending)
    services.capture_payment(payments["captured"], amount="60.00")
    services.refund_payment(payments["refunded"], amount="30.00")
    services.cancel_payment(payments["canceled"])
    lost = _session()
    _authorized(lost)
    home.server.kill()
    standby.promote()
    with asking(standby.url):
        assert [row.status for row in _now(payments.values())] == ["authorized", "captured", "authorized"]
        for session in PaymentSession.objects.all():
            services.sync_payment_session(session)
        captured, refunded, canceled = _now(payments.values())
        assert (captured.captured_amount, refunded.refunded_amount) == (Decimal(60), Decimal(30))
        assert (canceled.status, pending.pk) == ("canceled", Payment.objects.latest("created_at").session_id)
        assert_all_is_done(home.bank)
        (body,) = bodies(home.bank, lost, "intent.authorized")
        deliver(body, secrets=home.bank.settings.webhook_secrets)
        event = only_event()
    assert (event.status, event.detail) == ("ignored", "foreign")
    assert home.bank.totals(lost.pk).authorized == 10_000


def _session() -> PaymentSession:
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    return services.create_payment_session(collection, provider_id="simulator")


def _authorized(session: PaymentSession) -> Payment:
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    return payment


def _now(payments: Iterable[Payment]) -> list[Payment]:
    """Return payments as they are now."""
    return [Payment.objects.get(pk=payment.pk) for payment in payments]


def _stop_following(standby: EmbeddedPostgreSQL) -> None:
    """Have a standby receive nothing more."""
    with psycopg.connect(standby.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
        connection.execute("SELECT pg_reload_conf()")
        while connection.execute("SELECT count(*) FROM pg_stat_wal_receiver").fetchone() != (0,):
            time.sleep(0.02)
