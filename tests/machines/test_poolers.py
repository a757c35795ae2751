"""What depends on one connection of the server from one statement to the next, behind PgBouncer in transaction mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import Error, connection
from django.test import Client
from django.urls import reverse

from payments import checks, services
from payments.admin.overview import export
from tests.machines.conftest import Home, asking
from tests.machines.pooler import Pooler

pytestmark = [pytest.mark.database_independent, pytest.mark.thorough]

PREPARED = {"OPTIONS": {"server_side_binding": True, "prepare_threshold": 1}}


@contextmanager
def other_connections(pooler: Pooler) -> Iterator[None]:
    """Have others hold the connections that were lent last, so that whoever comes next is lent another one."""
    with psycopg.connect(f"{pooler.url}shop") as first, psycopg.connect(f"{pooler.url}shop") as second:
        first.execute("SELECT 1")
        second.execute("SELECT 1")
        yield


def test_export_needs_no_cursor_of_the_server(
    home: Home, pooler: Pooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_CHUNK", 2)
    with asking(pooler.url, DISABLE_SERVER_SIDE_CURSORS=False):
        for _ in range(5):
            collection = services.create_payment_collection(amount="10.00", currency_code="eur")
            session = services.create_payment_session(collection, provider_id="system")
            services.authorize_payment_session(session)
        client = Client()
        client.force_login(User.objects.get(username="operator"))
        answer: Any = client.get(reverse("admin:payments_export"))
        lines = iter(answer)
        read = [next(lines), next(lines)]
        with other_connections(pooler):
            read += lines
    assert len(read) == 1 + 5


def test_prepared_statement_is_lost(home: Home, pooler: Pooler) -> None:
    with asking(pooler.url, **PREPARED):
        _count()
        _count()
        with other_connections(pooler), pytest.raises(Error, match="prepared statement"):
            _count()


def _count() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shop_order WHERE total > %s", [1])


def test_check_warns_of_prepared_statements_behind_a_pooler(home: Home, pooler: Pooler) -> None:
    with asking(pooler.url, **PREPARED):
        (message,) = checks.check_routers(databases=["default"])
        assert message.id == "payments.W027"
        assert '"prepare_threshold": None' in str(message.hint)
        assert checks.check_routers(databases=None) == []
    with asking(pooler.url):
        assert checks.check_routers(databases=["default"]) == []
    with asking(home.server.url, **PREPARED):
        assert checks.check_routers(databases=["default"]) == []
