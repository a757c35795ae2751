"""Looking for traces of what should have left none: in every table, on every page of the admin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db import models
from django.test import Client
from django.urls import reverse


def database_texts() -> Iterator[str]:
    """Yield every row of every table as one text."""
    for model in apps.get_models():
        for row in model._base_manager.values_list():
            yield f"{model._meta.label} {row!r}"


class Snapshot:
    """Remember all rows of all tables, but for those in which Django notes who is logged in."""

    def __init__(self) -> None:
        self._rows = _rows()

    @property
    def changes(self) -> set[str]:
        """What is there now and wasn't, or was and isn't; a changed row is both."""
        return self._rows ^ _rows()


def admin_texts(client: Client) -> Iterator[str]:
    """Yield the lists and the pages of all rows that the admin shows of payments."""
    for model in admin.site._registry:
        if model._meta.app_label == "payments":
            yield from _pages(client, model)


def with_traces(texts: Iterable[str], needles: Iterable[str]) -> list[str]:
    """Return the texts in which one of the needles is."""
    wanted = tuple(needles)
    return [text[:500] for text in texts if any(needle in text for needle in wanted)]


def _rows() -> set[str]:
    return {text for text in database_texts() if not text.startswith("sessions.")}


def _pages(client: Client, model: type[models.Model]) -> Iterator[str]:
    name = f"admin:payments_{model._meta.model_name}"
    addresses: list[Any] = [reverse(f"{name}_changelist")]
    addresses += [reverse(f"{name}_change", args=[row.pk]) for row in model._base_manager.all()]
    for address in addresses:
        response = client.get(address)
        assert response.status_code == 200, address
        yield response.content.decode()
