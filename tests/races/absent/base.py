"""What Django loads as the backend of a database that refuses every connection, and remembers who wanted one."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import NoReturn

from django.db.backends.sqlite3 import base

PAYMENTS = Path(__file__).resolve().parents[3] / "payments"

asked_by: list[str] = []
"""The places in `payments` that have wanted to read."""


class AbsentError(Exception):
    """Say that a read came here which has to be the writer's."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Refuse to connect."""

    def ensure_connection(self) -> NoReturn:
        """Note the place, and refuse."""
        places = [frame for frame in traceback.extract_stack() if frame.filename.startswith(str(PAYMENTS))]
        place = (
            f"{Path(places[-1].filename).relative_to(PAYMENTS)}:{places[-1].lineno}" if places else "a test"
        )
        asked_by.append(place)
        raise AbsentError(f"{place} reads from the replica")
