"""Turn a `DATABASE_URL` into an entry of Django's `DATABASES`.

Knows the three databases that `payments` is tested on, and nothing about the rest of the settings.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# A write transaction takes SQLite's lock at its start, so that two of them queue up instead of one failing
# with "database is locked" when it turns from reading to writing; 20 seconds is how long it queues.
SQLITE_OPTIONS: dict[str, Any] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
}
MARIADB_OPTIONS: dict[str, Any] = {
    "charset": "utf8mb4",
    "init_command": "SET sql_mode = 'STRICT_TRANS_TABLES'",
}
SERVER_ENGINES = {
    "postgres": "django.db.backends.postgresql",
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
    "mariadb": "django.db.backends.mysql",
}


def parse_database_url(url: str) -> dict[str, Any]:
    """Return the `DATABASES` entry that a URL describes.

    `sqlite:///relative.sqlite3`, `sqlite:////absolute.sqlite3`, `postgresql://user:password@host:port/name` and
    `mysql://user:password@host:port/name` (or `mariadb://`) are understood. User, password, host and name may be
    percent-encoded; a PostgreSQL host may so be the folder of a Unix socket. Query parameters become `OPTIONS`.

    Raises `ImproperlyConfigured` for another scheme, and where a database or a port is not given as it should be.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return _sqlite(parts)
    if parts.scheme in SERVER_ENGINES:
        return _server(parts)
    known = ", ".join(["sqlite", *SERVER_ENGINES])
    raise ImproperlyConfigured(f"DATABASE_URL: the scheme {parts.scheme!r} is not one of {known}.")


def _sqlite(parts: SplitResult) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _name(parts, "the path of a file"),
        "OPTIONS": SQLITE_OPTIONS | dict(parse_qsl(parts.query)),
    }


def _server(parts: SplitResult) -> dict[str, Any]:
    engine = SERVER_ENGINES[parts.scheme]
    options = MARIADB_OPTIONS if engine.endswith("mysql") else {}
    return {
        "ENGINE": engine,
        "NAME": _name(parts, "the name of a database"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": _host(parts),
        "PORT": _port(parts),
        "OPTIONS": options | dict(parse_qsl(parts.query)),
    }


def _name(parts: SplitResult, kind: str) -> str:
    name = unquote(parts.path).removeprefix("/")
    if not name:
        raise ImproperlyConfigured(f"DATABASE_URL: {parts.scheme}:// needs {kind} at its end.")
    return name


def _host(parts: SplitResult) -> str:
    """Return the host as it is written: `SplitResult.hostname` is in lower case, which a folder's name need not be."""
    _, _, host = parts.netloc.rpartition("@")
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return unquote(host.partition(":")[0])


def _port(parts: SplitResult) -> str:
    try:
        return str(parts.port or "")
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL: {error}.") from error
