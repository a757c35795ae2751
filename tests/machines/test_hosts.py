"""Several web hosts and workers of one shop, also behind poolers: all is done once."""

from __future__ import annotations

import pytest

from payments.models import PaymentCollection
from tests.machines.conftest import Home
from tests.machines.crowds import EACH, SHOPPERS, assert_all_is_done, purchases
from tests.machines.hosts import THREADS, database
from tests.machines.pooler import Pooler

pytestmark = [pytest.mark.database_independent, pytest.mark.thorough]

FAULTS = ("drop_before", "drop_after", "error_500_before", "error_500_after", "garbage", "rate_limited")


def test_three_hosts_and_three_workers_do_everything_once(home: Home) -> None:
    shop = home.shop()
    for operation in ("initiate", "authorize", "capture", "refund"):
        for fault in FAULTS:
            home.bank.script(operation=operation, fault=fault)
    with shop.running(hosts=3, workers=3):
        made = purchases(shop, home.operator)
        assert home.bank.wait_for_webhooks(20)
    assert len(made) == SHOPPERS * EACH == PaymentCollection.objects.count()
    assert 0 < len([purchase for purchase in made if purchase.refunded]) < len(made)
    assert_all_is_done(home.bank)


@pytest.mark.parametrize("way", ["PgBouncer", "Django's pool"])
def test_flows_go_through_a_pooler(way: str, home: Home, pooler: Pooler) -> None:
    kept = database(f"{pooler.url}shop")
    lent = database(f"{home.server.url}shop", CONN_MAX_AGE=0, OPTIONS={"pool": {"max_size": THREADS}})
    shop = home.shop(DATABASES={"default": kept if way == "PgBouncer" else lent})
    with shop.running(hosts=2, workers=2):
        made = purchases(shop, home.operator)
        assert home.bank.wait_for_webhooks(20)
    assert [purchase for purchase in made if not purchase.refunded] == []
    assert shop.errors() == ""
    assert_all_is_done(home.bank)
