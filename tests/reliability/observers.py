"""Looking at a collection at every moment, to see that its version grows whenever anything below it changes.

That is: when an operation is claimed, when the bank is asked, and when its answer is recorded; nothing is uncommitted
then. What the outbox notes on an event (that it was told, and when to tell it again) changes nothing in the books, and
needn't count.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from payments.models import PaymentCollection, PaymentEvent, PaymentOperation
from payments.models.events import OUTBOX_FIELDS
from tests.reliability.banks import Act, Bank
from tests.reliability.books import KEPT, path_to_collection
from tests.reliability.places import Checkpoint, watching

HAVE_VERSIONS: Final = "version" in {field.name for field in PaymentCollection._meta.get_fields()}
COMMITTED: Final = (Checkpoint.CLAIMED, Checkpoint.CALLED, Checkpoint.RECORDED)
IGNORED: Final = frozenset({"version", "updated_at"})

Rows = dict[str, list[dict[str, Any]]]


def rows_of(collection: PaymentCollection) -> Rows:
    """Return all that is stored of a collection and below it, but for its version and the times of changes."""
    rows: Rows = {}
    for model in KEPT:
        ignored = IGNORED | (OUTBOX_FIELDS if model is PaymentEvent else frozenset())
        found: Any = model._default_manager.filter(**{path_to_collection(model): collection.pk}).order_by(
            "pk"
        )
        rows[model.__name__] = [
            {name: value for name, value in row.items() if name not in ignored} for row in found.values()
        ]
    return rows


def version_of(collection: PaymentCollection) -> int:
    """Return a collection's version as it is stored."""
    rows: Any = PaymentCollection.objects.filter(pk=collection.pk)
    return int(rows.values().get()["version"])


@dataclass(kw_only=True)
class Observer:
    """Look at a collection again and again, and see that its version has grown whenever something else has changed."""

    collection: PaymentCollection
    changes: list[str] = field(default_factory=list)
    _rows: Rows = field(default_factory=dict, repr=False)
    _version: int = 0

    def begin(self) -> None:
        """Look for the first time."""
        self._rows, self._version = rows_of(self.collection), version_of(self.collection)

    def look(self, moment: str) -> None:
        """Look again."""
        rows, version = rows_of(self.collection), version_of(self.collection)
        changed = [name for name, found in rows.items() if found != self._rows[name]]
        if changed:
            assert version > self._version, f"{moment}: {', '.join(changed)} changed, and no version"
            self.changes += changed
        assert version >= self._version
        self._rows, self._version = rows, version


@contextmanager
def observed(bank: Bank, collection: PaymentCollection) -> Iterator[Observer]:
    """Look at a collection at every moment of the block; something must change in it."""
    observer = Observer(collection=collection)
    observer.begin()

    def watch(point: Checkpoint, operation: PaymentOperation) -> None:
        if point in COMMITTED:
            observer.look(f"{operation.kind} {point}")

    def answer(verb: str, request: Any, act: Act) -> Any:
        observer.look(f"the bank is asked to {verb}")
        return before(verb, request, act)

    before, bank.answer = bank.answer, answer  # type: ignore[method-assign]
    try:
        with watching(watch):
            yield observer
    finally:
        bank.answer = before  # type: ignore[method-assign]
    observer.look("afterwards")
    assert observer.changes
