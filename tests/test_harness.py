"""The test harness itself: the asked-for database is the one that answers, and it enforces what ours relies on."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connection, transaction

from tests.shop.models import Order

VENDORS = {"sqlite": ("sqlite", False), "postgresql": ("postgresql", False), "mariadb": ("mysql", True)}


@pytest.mark.django_db
def test_connection_is_to_the_database_asked_for(request: pytest.FixtureRequest) -> None:
    vendor, is_mariadb = VENDORS[request.config.getoption("database")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    assert connection.vendor == vendor
    assert getattr(connection, "mysql_is_mariadb", False) is is_mariadb


@pytest.mark.django_db
def test_postgresql_prepares_statements_where_that_is_asked_for(request: pytest.FixtureRequest) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL is asked to prepare statements")
    with connection.cursor() as cursor:
        for _each in range(3):
            cursor.execute("SELECT %s::integer", [1])
        cursor.execute("SELECT count(*) > 0 FROM pg_prepared_statements")
        assert cursor.fetchone() == (request.config.getoption("prepared"),)


@pytest.mark.django_db
def test_migrated_tables_enforce_their_constraints() -> None:
    Order.objects.create(number="1001", total="10.00", currency_code="eur")
    with pytest.raises(IntegrityError), transaction.atomic():
        Order.objects.create(number="1001", total="20.00", currency_code="eur")
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_threads_see_committed_rows_of_one_another() -> None:
    def place_order() -> None:
        try:
            Order.objects.create(number="1002", total="10.00", currency_code="eur")
        finally:
            connection.close()

    thread = threading.Thread(target=place_order)
    thread.start()
    thread.join(timeout=30)
    assert Order.objects.filter(number="1002").exists()
