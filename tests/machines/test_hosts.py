"""Several web hosts and workers of one shop, whose provider fails and tells everything twice: all is done once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from payments.models import PaymentCollection, PaymentEvent, PaymentOperation
from payments.simulator import SimulatorService
from tests.embedded_postgresql import EmbeddedPostgreSQL
from tests.machines.hosts import Shop, database, paid_by
from tests.machines.pooler import Pooler
from tests.machines.shoppers import Purchase, Shopper
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import assert_books_agree, assert_invariants, assert_references_moved_once
from tests.reliability.clocks import moving_clock

pytestmark = [pytest.mark.database_independent, pytest.mark.thorough]

SHOPPERS = 6
ORDERS = 5
FAULTS = ("drop_before", "drop_after", "error_500_before", "error_500_after", "garbage", "rate_limited")


def shop_of(bank: SimulatorService, logs: Path, databases: dict[str, Any], **settings: Any) -> Shop:
    """Return a shop with these databases, to which a simulator delivers."""
    payments = paid_by(bank.url, bank.settings.api_key, bank.settings.webhook_secrets)
    shop = Shop(settings={"DATABASES": databases, "PAYMENTS": payments, **settings}, logs=logs)
    bank.settings.webhook_url = shop.webhook_url
    return shop


def purchases(shop: Shop, operator: str, *, patience: float = 0.0) -> list[Purchase]:
    """Have shoppers buy at the same time, one order after the other, and return how far each came."""

    def buy(number: int) -> list[Purchase]:
        with closing(Shopper(port=shop.port, operator=operator, patience=patience)) as shopper:
            return [shopper.buy(str(ORDERS * number + order)) for order in range(ORDERS)]

    with ThreadPoolExecutor(SHOPPERS) as pool:
        return [purchase for made in pool.map(buy, range(SHOPPERS)) for purchase in made]


def assert_all_is_done(bank: SimulatorService) -> None:
    """Let the workers' work be done here, as time passes, and compare all books with the simulator's."""
    with moving_clock(bank) as clock:
        let_time_pass(clock)
    assert not PaymentOperation.objects.open().exists()
    assert not PaymentEvent.objects.unpublished().exists()
    for collection in PaymentCollection.objects.all():
        assert_invariants(collection)
        assert_books_agree(bank, collection)
        for session in collection.sessions.all():
            assert_references_moved_once(bank, session)


def test_three_hosts_and_three_workers_do_everything_once(
    shop_of_the_primary: str, primary: EmbeddedPostgreSQL, bank: SimulatorService, tmp_path: Path
) -> None:
    shop = shop_of(bank, tmp_path, {"default": database(f"{primary.url}shop")})
    for operation in ("initiate", "authorize", "capture", "refund"):
        for fault in FAULTS:
            bank.script(operation=operation, fault=fault)
    with shop.running(hosts=3, workers=3):
        made = purchases(shop, shop_of_the_primary)
        assert bank.wait_for_webhooks(20)
    assert len(made) == SHOPPERS * ORDERS == PaymentCollection.objects.count()
    assert 0 < len([purchase for purchase in made if purchase.refunded]) < len(made)
    assert_all_is_done(bank)


@pytest.mark.parametrize("way", ["pgbouncer", "pool", "pool before pgbouncer"])
def test_flows_go_through_a_pooler(
    way: str,
    shop_of_the_primary: str,
    primary: EmbeddedPostgreSQL,
    pooler: Pooler,
    bank: SimulatorService,
    tmp_path: Path,
) -> None:
    url = primary.url if way == "pool" else pooler.url
    options = {} if way == "pgbouncer" else {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": {"max_size": 4}}}
    shop = shop_of(bank, tmp_path, {"default": database(f"{url}shop", **options)})
    with shop.running(hosts=2, workers=2):
        made = purchases(shop, shop_of_the_primary)
        assert bank.wait_for_webhooks(20)
    assert [purchase for purchase in made if not purchase.refunded] == []
    assert "Traceback" not in shop.errors()
    assert_all_is_done(bank)
