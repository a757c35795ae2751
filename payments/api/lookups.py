"""Finding the row that an address names."""

from __future__ import annotations

import re
from typing import Final, TypeVar

from django.db import models
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound

RowT = TypeVar("RowT", bound=models.Model)

# What no row can have as its key never gets to the database, which may not be able to spell it.
KEY: Final = re.compile(r"[\w.-]{1,64}", re.ASCII)


def find(rows: models.QuerySet[RowT], key: str) -> RowT | None:
    """Return the row with this key, or None."""
    return rows.filter(pk=key).first() if KEY.fullmatch(key) else None


def get(rows: models.QuerySet[RowT], key: str) -> RowT:
    """Return the row with this key, or raise what becomes a 404."""
    row = find(rows, key)
    if row is None:
        raise not_found()
    return row


def not_found() -> NotFound:
    """Return the one 404: it doesn't tell what isn't there from what isn't yours, so it names nothing."""
    return NotFound(_("There is nothing here under this address."))
