"""What every row of the house has: times, and the promise that it stays.

A row that may stand for money is never deleted, so deletion is refused here, for one row and for many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from django.db import models, router
from django.db.models import CheckConstraint, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import TransitionError
from payments.models.fields import being_read
from payments.wording import told_words

ModelT = TypeVar("ModelT", bound=models.Model)


def refuse_deletion() -> NoReturn:
    """Raise TransitionError, since rows that may stand for money stay."""
    raise TransitionError(
        _("Payment records are never deleted: cancel or refund instead."), code="never_deleted", field=None
    )


class PinnedQuerySet(models.QuerySet[ModelT]):
    """Rows that are read where they are written, whatever a router says of reads.

    A replica may lag behind, and what is read here decides about money. Who wants one for a report says `using`.
    """

    _db: str | None
    _hints: dict[str, Any]

    @property
    def db(self) -> str:
        """The alias of the database that is asked."""
        return self._db or router.db_for_write(self.model, **self._hints)


class KeptQuerySet(PinnedQuerySet[ModelT]):
    """Rows that can't be deleted."""

    def delete(self) -> NoReturn:
        """Refuse."""
        refuse_deletion()


class KeptModel(models.Model):
    """A row that services create and change, and nobody deletes."""

    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    if not TYPE_CHECKING:  # each model says what its own is
        objects = KeptQuerySet.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "objects"  # also for the rows that a row refers to

    def delete(self, using: Any = None, keep_parents: bool = False) -> NoReturn:
        """Refuse."""
        refuse_deletion()

    def save_fields(self, *names: str) -> None:
        """Save these fields, and the time of the change, and nothing else."""
        self.save(update_fields=[*names, "updated_at"])

    def refresh_from_db(
        self, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None
    ) -> None:
        """Re-read the row, statuses included, from where is written."""
        with being_read(self):
            pinned = using or router.db_for_write(type(self), instance=self)
            super().refresh_from_db(using=pinned, fields=fields, from_queryset=from_queryset)


class RefusableModel(KeptModel):
    """A row that keeps why something was refused: a stable code, and words that are translated for each reader."""

    error_code: Any
    error_message: Any

    class Meta:
        abstract = True

    @property
    def error_text(self) -> str:
        """The words of `error_message` in the active language."""
        return told_words(self.error_message)


class DerivedStatusModel(KeptModel):
    """Have a status that follows from other fields; `transitions` names the transition that leads to each."""

    status: Any
    transitions: ClassVar[Mapping[Any, str]]

    class Meta:
        abstract = True

    def move_to(self, status: str) -> bool:
        """Take the transition that leads to `status`; return whether there was one to take."""
        if self.status == status:
            return False
        getattr(self, self.transitions[status])()
        return True


def status_is_known(name: str, choices: type[models.TextChoices]) -> CheckConstraint:
    """Return a constraint that holds the status to the closed list, whoever writes the row."""
    return CheckConstraint(condition=Q(status__in=choices.values), name=name)
