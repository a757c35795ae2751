"""Find the database that `pytest --database` asks for, or say why it can't be had.

A database that was asked for and is not there is an error, never a skipped test.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from example_project.databases import SQLITE_OPTIONS, parse_database_url
from tests.embedded_postgresql import EmbeddedPostgreSQL, EmbeddedServerError

DATABASES = ("sqlite", "postgresql", "mariadb")
DEFAULT_MARIADB_URL = "mysql://root@127.0.0.1:3306/"
# What a test database loses in a power cut is nothing that anybody needs.
SQLITE_TEST_OPTIONS = SQLITE_OPTIONS | {
    "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
}

# Django lets psycopg prepare only what it sends apart from its parameters; here, whatever is sent twice.
PREPARED = {"server_side_binding": True, "prepare_threshold": 1}


@contextlib.contextmanager
def database_url(kind: str) -> Iterator[str]:
    """Yield the address of a reachable database server of this kind, started and stopped here if need be.

    An address without a database's name gets one of its own for this run, so that two runs on one server don't
    meet. Raises `pytest.UsageError` when there is no such server.
    """
    with {"sqlite": _sqlite_url, "postgresql": _postgresql_url, "mariadb": _mariadb_url}[kind]() as url:
        yield url


def settings_for_tests(url: str, *, is_prepared: bool = False) -> dict[str, Any]:
    """Return Django's settings of the database at this address, for a test run.

    Raises `pytest.UsageError` where another than PostgreSQL is to prepare statements.
    """
    settings = parse_database_url(url)
    if is_prepared:
        if not settings["ENGINE"].endswith("postgresql"):
            raise pytest.UsageError("--prepared goes with --database postgresql.")
        return settings | {"OPTIONS": settings["OPTIONS"] | PREPARED}
    if settings["ENGINE"].endswith("sqlite3"):
        # A file and not memory, so that threads and other processes can share it.
        return settings | {"OPTIONS": SQLITE_TEST_OPTIONS, "TEST": {"NAME": settings["NAME"]}}
    return settings


@contextlib.contextmanager
def _sqlite_url() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="payments-sqlite-"))
    try:
        yield f"sqlite:///{folder / 'test.sqlite3'}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _postgresql_url() -> Iterator[str]:
    configured = os.environ.get("POSTGRESQL_URL")
    with contextlib.nullcontext(configured) if configured else _embedded_postgresql() as server:
        url = _with_database_name(server)
        _check_postgresql(parse_database_url(url))
        yield url


@contextlib.contextmanager
def _embedded_postgresql() -> Iterator[str]:
    server = EmbeddedPostgreSQL()
    try:
        server.start()
    except EmbeddedServerError as error:
        raise pytest.UsageError(str(error)) from error
    try:
        yield server.url
    finally:
        server.stop()


@contextlib.contextmanager
def _mariadb_url() -> Iterator[str]:
    url = _with_database_name(os.environ.get("MARIADB_URL") or DEFAULT_MARIADB_URL)
    _check_mariadb(parse_database_url(url))
    yield url


def _with_database_name(url: str) -> str:
    parts = urlsplit(url)
    path = parts.path if parts.path.strip("/") else f"/payments_{os.getpid()}"
    return urlunsplit(parts._replace(path=path))


def _check_postgresql(settings: dict[str, Any]) -> None:
    driver = _driver("psycopg", extra="test")
    arguments = {name: settings[name.upper()] for name in ("host", "port", "user", "password")}
    arguments = {name: value for name, value in arguments.items() if value} | settings["OPTIONS"]
    try:
        driver.connect(dbname="postgres", connect_timeout=10, **arguments).close()
    except driver.Error as error:
        raise _unreachable("PostgreSQL", settings, "POSTGRESQL_URL", error) from error


def _check_mariadb(settings: dict[str, Any]) -> None:
    driver = _driver("MySQLdb", extra="mariadb")
    arguments = {name: settings[name.upper()] for name in ("host", "user", "password")}
    port = int(settings["PORT"] or 3306)
    try:
        driver.connect(port=port, connect_timeout=10, **arguments, **settings["OPTIONS"]).close()
    except driver.Error as error:
        raise _unreachable("MariaDB", settings, "MARIADB_URL", error) from error


def _driver(module: str, *, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise pytest.UsageError(
            f"{module} can't be imported ({error}): install the extra `{extra}`."
        ) from error


def _unreachable(
    product: str, settings: dict[str, Any], variable: str, error: Exception
) -> pytest.UsageError:
    address = f"{settings['HOST']}:{settings['PORT']}"
    return pytest.UsageError(
        f"{product} can't be reached at {address}, as {variable} or its default has it: {error}"
    )
