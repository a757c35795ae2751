"""The demo's database: made, filled once, and deleted only where the demo itself made it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.db import connection

MARK: Final = 0x53474C5A
"""Written into the `application_id` of an SQLite file that the demo makes: “SGLZ”."""

PROJECT: Final = Path(__file__).resolve().parents[2]

_COMPANIONS: Final = ("", "-wal", "-shm", "-journal")


class NotTheDemosError(Exception):
    """Say that a database is somebody else's, so that it isn't deleted."""


@dataclass(frozen=True, kw_only=True)
class DemoDatabase:
    """Be the database of the settings; `path` is its file, or None where it is on a server."""

    path: Path | None
    ledger: Path

    @classmethod
    def of_settings(cls) -> DemoDatabase:
        """Return the database that the settings name, with the simulator's ledger beside it."""
        if connection.vendor != "sqlite":
            return cls(path=None, ledger=PROJECT / "simulator.sqlite3")
        path = Path(str(settings.DATABASES["default"]["NAME"]))
        return cls(path=path, ledger=path.with_name(f"{path.stem}-simulator{path.suffix}"))

    @property
    def name(self) -> str:
        """What to call the database when talking to a person."""
        return self.path.name if self.path else str(connection.settings_dict["NAME"])

    def prepare(self) -> None:
        """Make the database, or bring its tables up to date."""
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _mark_if_empty(self.path)
        call_command("migrate", verbosity=0, interactive=False)

    def delete(self) -> None:
        """Delete the demo's own files; raise NotTheDemosError for any other database."""
        if self.path is None:
            raise NotTheDemosError(
                "--reset only deletes SQLite files that the demo made. Empty the database on the server yourself."
            )
        if self.path.exists() and not _is_marked(self.path):
            raise NotTheDemosError(
                f"{self.path} was not made by the demo, so it isn't deleted. Name another file, such as "
                f"DATABASE_URL=sqlite:///{self.path.with_name('demo.sqlite3')}, or delete it yourself."
            )
        connection.close()
        for each in (self.path, self.ledger):
            for companion in _COMPANIONS:
                each.with_name(each.name + companion).unlink(missing_ok=True)


def _mark_if_empty(path: Path) -> None:
    """Make an SQLite file the demo's own where there is none yet, or nothing in it."""
    with closing(sqlite3.connect(path)) as found:
        if found.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            found.execute(f"PRAGMA application_id = {MARK}")
            found.commit()


def _is_marked(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as found:
        try:
            return bool(found.execute("PRAGMA application_id").fetchone()[0] == MARK)
        except sqlite3.DatabaseError:
            return False
