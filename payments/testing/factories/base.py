"""What the factories share: totals that follow from the rows, and values that a given row decides."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final, TypeVar

from django.db import models
from factory.declarations import BaseDeclaration, SubFactory
from factory.django import DjangoModelFactory

from payments.models import PaymentCollection
from payments.money import exponent
from payments.services.ledger.books import hand_over, open_books
from payments.services.ledger.history import Origin
from payments.services.ledger.locks import database_alias, joined
from payments.services.ledger.totals import refresh_totals
from payments.states import EventSource

ModelT = TypeVar("ModelT", bound=models.Model)

HUNDRED: Final = Decimal("100.00")


class RowFactory(DjangoModelFactory[ModelT]):
    """A factory of rows of one model."""

    class Meta:
        abstract = True
        skip_postgeneration_save = True

    @classmethod
    def _get_manager(cls, model_class: Any) -> Any:
        """Return rows without the guard of the model's own manager: what is made here has never been otherwise."""
        return models.QuerySet(model_class, using=database_alias())

    @classmethod
    def _build(cls, model_class: Any, *args: Any, **kwargs: Any) -> ModelT:
        row: ModelT = super()._build(model_class, *args, **kwargs)  # type: ignore[no-untyped-call]
        return row

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> ModelT:
        row: ModelT = super()._create(model_class, *args, **kwargs)  # type: ignore[no-untyped-call]
        return row


class Given(BaseDeclaration):
    """A value from a row that was given to the factory, or else from `default`, a value or a function of it.

    `sources` are tried in turn: each names an argument, and says what of the row given there is taken.
    """

    def __init__(self, default: Any = None, **sources: Callable[[Any], Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.default = default
        self.sources = sources

    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any:
        """Return the value."""
        for name, value_of in self.sources.items():
            if name in step.builder.extras:
                return value_of(getattr(instance, name))
        return self.default(instance) if callable(self.default) else self.default


class GivenOrNew(SubFactory):
    """A row from another row that was given to the factory, or else from a factory."""

    def __init__(self, source: str, name: str, factory: Any, **defaults: Any) -> None:
        super().__init__(factory, **defaults)  # type: ignore[no-untyped-call]
        self.source = source
        self.name = name

    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any:
        """Return the row."""
        if self.source in step.builder.extras:
            return getattr(getattr(instance, self.source), self.name)
        return super().evaluate(instance, step, extra)  # type: ignore[no-untyped-call]


class FoundOrNew(SubFactory):
    """A row that `find` finds among the factory's other values, or else from a factory."""

    def __init__(self, find: Callable[[Any], Any], factory: Any, **defaults: Any) -> None:
        super().__init__(factory, **defaults)  # type: ignore[no-untyped-call]
        self.find = find

    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any:
        """Return the row."""
        found = self.find(instance)
        if found is not None:
            return found
        return super().evaluate(instance, step, extra)  # type: ignore[no-untyped-call]


def refresh_collection(collection: PaymentCollection, *rows: models.Model) -> None:
    """Refresh the totals of a collection and its payments from the rows below; `rows` are payments to be read again."""
    with joined():
        books = open_books(collection.pk, origin=Origin(source=EventSource.SYSTEM))
        refresh_totals(books)
        books.events = []  # Made-up rows have no history, and no signal tells of them.
        books.close()
    hand_over(books, collection, books.collection)
    for row in rows:
        row.refresh_from_db(
            fields=["status", "captured_amount", "refunded_amount", "captured_at", "canceled_at"]
        )


def share(amount: Decimal, percent: int, currency_code: str) -> Decimal:
    """Return a part of an amount (major units), in its currency's decimals and never zero or all of it."""
    unit = Decimal(1).scaleb(-exponent(currency_code))
    part = (Decimal(amount) * percent / 100).quantize(unit, ROUND_DOWN)
    return max(unit, part)


def refuse_other_status(row: models.Model, wanted: Any) -> None:
    """Raise ValueError where a status was asked for that the rows don't stand for."""
    status = getattr(row, "status")  # noqa: B009 - of any model that has one
    if wanted is not None and str(wanted) != str(status):
        raise ValueError(
            f"{type(row).__name__}.status is derived: the rows stand for “{status}”, not “{wanted}”. "
            "Use a trait or give amounts."
        )
