"""The base classes of the models, with constraints that tie each status to its facts.

Rows that may stand for money can't be deleted, and only the services can write their statuses and amounts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeVar

from django.db import models, router
from django.db.models import CheckConstraint, Index, Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from payments.exceptions import TransitionError
from payments.models.fields import StatusField, being_read
from payments.money import AmountField
from payments.stored import kept_words, told_words

NAMELESS_FAILURE: Final = "failed"
"""The code of a refusal for which the provider gives no code."""

ModelT = TypeVar("ModelT", bound=models.Model)


def index_where_set(*names: str, name: str) -> Index:
    """Return an index of the rows in which the last of these fields isn't null; on MariaDB it has all rows."""
    return Index(fields=names, condition=Q(**{f"{names[-1]}__isnull": False}), name=name)


def forbid_deletion() -> NoReturn:
    """Raise TransitionError, since rows that may stand for money stay."""
    raise TransitionError(
        _("Payment records are never deleted: cancel or refund instead."), code="never_deleted", field=None
    )


def check_writable(model: type[models.Model], names: Iterable[str]) -> None:
    """Raise TransitionError if only the services may write one of these fields of a model."""
    for name in names:
        if name in _guarded_names(model):
            _forbid_write(model, name)


def check_new(row: models.Model) -> None:
    """Raise TransitionError if a new row doesn't have its model's first status."""
    for field in row._meta.concrete_fields:
        if isinstance(field, StatusField) and getattr(row, field.attname) != field.get_default():
            _forbid_write(type(row), field.name)


def _forbid_write(model: type[models.Model], name: str) -> NoReturn:
    raise TransitionError(
        _(
            "“%(field)s” of a %(model)s follows from what its provider answers. Use a verb of payments.services, which "
            "also writes the history."
        ),
        code="services_only",
        field=name,
        params={"field": name, "model": model._meta.verbose_name},
    )


@cache
def _guarded_names(model: type[models.Model]) -> frozenset[str]:
    fields = model._meta.concrete_fields
    return frozenset(each.name for each in fields if isinstance(each, StatusField | AmountField))


_lists_are_read: ContextVar[bool] = ContextVar("payments_lists_are_read", default=False)


@contextmanager
def reading_lists() -> Iterator[None]:
    """Read rows inside the block from where the router sends reads; nothing may be decided by them."""
    token = _lists_are_read.set(True)
    try:
        yield
    finally:
        _lists_are_read.reset(token)


class PinnedQuerySet(models.QuerySet[ModelT]):
    """A queryset that reads from the database to which rows are written, whatever a router decides for reads.

    A replica may lag behind, and these rows decide about money. Lists are read by `reading_lists`, and a report may be
    read with `using()`.
    """

    _db: str | None
    _hints: dict[str, Any]

    @property
    def db(self) -> str:
        """The alias of the database that is queried."""
        if self._db is None and _lists_are_read.get():
            return router.db_for_read(self.model, **self._hints)
        return self._db or router.db_for_write(self.model, **self._hints)


class KeptQuerySet(PinnedQuerySet[ModelT]):
    """A queryset that refuses deletions, and writes to statuses and amounts.

    The services write those through `services.ledger.statements`, which uses plain querysets.
    """

    def delete(self) -> NoReturn:
        """Raise TransitionError."""
        forbid_deletion()

    def create(self, **values: Any) -> ModelT:
        """Insert a row, which must have its model's first status."""
        check_new(self.model(**values))
        return super().create(**values)

    def bulk_create(self, objs: Iterable[ModelT], *args: Any, **options: Any) -> list[ModelT]:
        """Insert rows, which must have their model's first status."""
        rows = list(objs)
        for row in rows:
            check_new(row)
        check_writable(self.model, options.get("update_fields") or ())
        return super().bulk_create(rows, *args, **options)

    def update(self, **values: Any) -> int:
        """Write anything but statuses and amounts."""
        check_writable(self.model, values)
        return super().update(**values)

    def bulk_update(self, objs: Iterable[ModelT], fields: Iterable[str], *args: Any, **options: Any) -> int:
        """Write anything but statuses and amounts."""
        names = list(fields)
        check_writable(self.model, names)
        return super().bulk_update(objs, names, *args, **options)

    def update_or_create(
        self, defaults: Mapping[str, Any] | None = None, *args: Any, **values: Any
    ) -> tuple[ModelT, bool]:
        """Write anything but statuses and amounts, or insert a row, which must have its model's first status."""
        check_writable(self.model, defaults or ())
        return super().update_or_create(defaults, *args, **values)


class KeptModel(models.Model):
    """A row that services create and change, and nobody deletes."""

    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    if not TYPE_CHECKING:  # each model declares its own
        objects = KeptQuerySet.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "objects"  # used also to follow foreign keys to the model

    def delete(self, using: Any = None, keep_parents: bool = False) -> NoReturn:
        """Raise TransitionError."""
        forbid_deletion()

    def save_fields(self, *names: str) -> None:
        """Save only these fields and `updated_at`."""
        self.save(update_fields=[*names, "updated_at"])

    def refresh_from_db(
        self, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None
    ) -> None:
        """Re-read the row, including its status, from the database to which it is written."""
        with being_read(self):
            pinned = using or router.db_for_write(type(self), instance=self)
            super().refresh_from_db(using=pinned, fields=fields, from_queryset=from_queryset)


class RefusableModel(KeptModel):
    """A row with the reason of a refusal: a stable code, and a message that is translated for each reader."""

    error_code = models.CharField(_("error code"), max_length=64, blank=True, default="")
    error_message = models.TextField(_("error message"), blank=True, default="")

    class Meta:
        abstract = True

    def set_error(self, code: str, message: str | Promise) -> None:
        """Store the reason of a refusal; if the provider gave no code, a default code is stored."""
        self.error_code = code or NAMELESS_FAILURE
        self.error_message = kept_words(message)

    def clear_error(self) -> None:
        """Remove the reason of a refusal."""
        self.error_code = ""
        self.error_message = ""

    @property
    def error_text(self) -> str:
        """`error_message` in the active language."""
        return told_words(self.error_message)


class LeasedModel(models.Model):
    """A row that workers lease from a queue, and put back with a delay."""

    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    lease_owner = models.CharField(_("lease owner"), max_length=64, blank=True, default="")
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True, blank=True)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True, blank=True)

    class Meta:
        abstract = True

    def end_lease(self) -> None:
        """End the worker's lease on the row."""
        self.lease_owner = ""
        self.lease_expires_at = None


class DerivedStatusModel(KeptModel):
    """A row whose status follows from other fields; `transitions` names the transition to each status."""

    status: Any
    transitions: ClassVar[Mapping[Any, str]]

    class Meta:
        abstract = True

    def move_to(self, status: str) -> bool:
        """Apply the transition to `status`; return whether the status has changed."""
        if self.status == status:
            return False
        getattr(self, self.transitions[status])()
        return True


def status_has(
    name: str, fact: Q, *statuses: models.TextChoices, either: Collection[models.TextChoices] = ()
) -> CheckConstraint:
    """Return a constraint by which rows with these statuses have a fact, and all other rows lack it.

    Rows with the statuses `either` may have it or not.
    """
    has = Q(status__in=sorted(statuses)) & fact
    lacks = ~Q(status__in=sorted({*statuses, *either})) & ~fact
    condition = has | lacks | Q(status__in=sorted(either)) if either else has | lacks
    return CheckConstraint(condition=condition, name=name)


def status_follows(name: str, facts: Mapping[Any, Q]) -> CheckConstraint:
    """Return a constraint by which a row's status is the one whose facts are true."""
    condition = Q()
    for status, fact in facts.items():
        condition |= Q(status=status) & fact
    return CheckConstraint(condition=condition, name=name)


def status_is_known(name: str, choices: type[models.TextChoices]) -> CheckConstraint:
    """Return a constraint that limits the status to the given list."""
    return CheckConstraint(condition=Q(status__in=choices.values), name=name)
