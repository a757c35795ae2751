"""Addresses of databases: how a URL is read, and that a server which can't be had is an error."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from example_project.databases import MARIADB_OPTIONS, SQLITE_OPTIONS, parse_database_url
from tests.databases import database_url

pytestmark = pytest.mark.database_independent

# Port 1 of this machine, where nothing listens.
NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///shop.sqlite3", {"NAME": "shop.sqlite3", "OPTIONS": SQLITE_OPTIONS}),
        ("sqlite:////var/lib/my%20shop.sqlite3", {"NAME": "/var/lib/my shop.sqlite3"}),
        (
            "postgresql://jo:s%40crt@db.example:5433/shop?sslmode=require",
            {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "shop",
                "USER": "jo",
                "PASSWORD": "s@crt",
                "HOST": "db.example",
                "PORT": "5433",
                "OPTIONS": {"sslmode": "require"},
            },
        ),
        ("postgres://jo@%2Frun%2FPostgreSQL/shop", {"HOST": "/run/PostgreSQL", "PORT": "", "PASSWORD": ""}),
        (
            "mysql://root@127.0.0.1:3306/shop",
            {"ENGINE": "django.db.backends.mysql", "HOST": "127.0.0.1", "OPTIONS": MARIADB_OPTIONS},
        ),
        ("mariadb://jo@[::1]/shop", {"ENGINE": "django.db.backends.mysql", "HOST": "::1"}),
    ],
)
def test_url_becomes_the_settings_it_describes(url: str, expected: dict[str, Any]) -> None:
    assert parse_database_url(url).items() >= expected.items()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("oracle://jo@db/shop", "the scheme 'oracle' is not one of sqlite, "),
        ("shop.sqlite3", "the scheme '' is not one of sqlite, "),
        ("sqlite:///", "needs the path of a file"),
        ("postgresql://jo@db.example/", "needs the name of a database"),
        ("postgresql://jo@db.example:many/shop", "Port could not be cast"),
    ],
)
def test_url_that_describes_no_database_is_refused(url: str, message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message):
        parse_database_url(url)


def test_sqlite_takes_its_lock_when_a_transaction_begins_and_waits_for_it() -> None:
    assert SQLITE_OPTIONS.items() >= {"transaction_mode": "IMMEDIATE", "timeout": 20}.items()


@pytest.mark.parametrize(
    ("database", "variable", "url", "message"),
    [
        ("postgresql", "POSTGRESQL_URL", f"postgresql://jo@{NOBODY}/shop", "PostgreSQL can't be reached"),
        ("mariadb", "MARIADB_URL", f"mysql://jo@{NOBODY}/shop", "MariaDB can't be reached|extra `mariadb`"),
    ],
)
def test_database_that_is_asked_for_and_not_there_is_an_error(
    database: str, variable: str, url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, url)
    with pytest.raises(pytest.UsageError, match=message), database_url(database):
        pass
