"""A standby from which lists are read: however far it lags, flows go on, and what is done at once is seen at once."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from tests.embedded_postgresql import EmbeddedPostgreSQL
from tests.machines.conftest import Home, wait_for_standby
from tests.machines.crowds import assert_all_is_done, purchases
from tests.machines.hosts import database
from tests.machines.shoppers import Shopper

pytestmark = [pytest.mark.database_independent, pytest.mark.thorough]

LISTS = ("payments", "payment-collections", "payment-sessions", "webhook-events")


def test_only_lists_are_as_old_as_the_standby(home: Home, standby: EmbeddedPostgreSQL) -> None:
    databases = {"default": database(f"{home.server.url}shop"), "replica": database(f"{standby.url}shop")}
    shop = home.shop(DATABASES=databases, DATABASE_ROUTERS=["tests.races.replicas.PrimaryReplicaRouter"])
    wait_for_standby(home.server, standby)
    with psycopg.connect(standby.url, autocommit=True) as replay, shop.running(hosts=2, workers=1):
        replay.execute("SELECT pg_wal_replay_pause()")
        made = purchases(shop, home.operator)
        assert home.bank.wait_for_webhooks(20)
        with closing(Shopper(port=shop.port, operator=home.operator)) as operator:
            assert [_listed(operator, name) for name in LISTS] == [0, 0, 0, 0]
            for purchase in made:
                shown = operator.ask("look", "GET", f"staff/payments/{purchase.payment}/")
                assert shown["status"] == "refunded"
            replay.execute("SELECT pg_wal_replay_resume()")
            wait_for_standby(home.server, standby)
            assert all(_listed(operator, name) for name in LISTS)
    assert [purchase for purchase in made if not purchase.refunded] == []
    assert shop.errors() == ""
    assert_all_is_done(home.bank)


def _listed(operator: Shopper, name: str) -> int:
    page: dict[str, Any] = operator.ask("list", "GET", f"staff/{name}/")
    return len(page["results"])
