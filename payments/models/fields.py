"""The column types that the models share.

AmountField lives in `payments.money`, because it is part of what an amount is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import django_fsm
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django_fsm import FSMFieldDescriptor as ProtectedDescriptor

from payments.ids import MAX_LENGTH

P = ParamSpec("P")
R = TypeVar("R")
StatusT = TypeVar("StatusT", bound=models.TextChoices)
SetT = TypeVar("SetT")
GetT = TypeVar("GetT")

if TYPE_CHECKING:
    _CharField = models.CharField[str | None, Any]
    _FSMField = models.CharField
else:
    _CharField = models.CharField

    class _FSMField(django_fsm.FSMField):
        """The base field, with the type parameters that it has in Django's stubs only."""

        def __class_getitem__(cls, parameters):
            return cls


class KeyField(_CharField):
    """An identifier, compared byte by byte.

    By default, MariaDB and MySQL treat “abc” and “ABC” as the same key, but a provider's references differ by case.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", MAX_LENGTH)
        super().__init__(*args, **kwargs)

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return the type of the column, and of those that refer to it."""
        usual = super().db_type(connection)
        # On PostgreSQL, Django adds a second index, for LIKE, to every varchar key and to the foreign keys to it. No
        # query searches for the start of a key, so the type goes by its other name, for which Django adds no index.
        if connection.vendor != "postgresql" or usual is None:
            return usual
        return usual.replace("varchar", "character varying", 1)

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Return parameters with a binary collation for MariaDB and MySQL; other databases compare bytes anyway."""
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


_being_read: ContextVar[models.Model | None] = ContextVar("_being_read", default=None)


@contextmanager
def being_read(instance: models.Model) -> Iterator[None]:
    """Let only this thread or task write the statuses of one instance, as they are read from the database."""
    token = _being_read.set(instance)
    try:
        yield
    finally:
        _being_read.reset(token)


class StatusDescriptor(ProtectedDescriptor):
    """An attribute that returns a member of its choices, and refuses to be assigned.

    It accepts the value that it has already, and any value while the instance is being re-read from the database.
    """

    field: Any

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        try:
            value = instance.__dict__[self.field.name]
        except KeyError:  # a deferred status, which is read only now
            value = super().__get__(instance, owner)
        return self.field.members.get(value, value)

    def __set__(self, instance: models.Model, value: Any) -> None:
        if value is not None and instance.__dict__.get(self.field.name) == value:
            return  # full_clean() assigns every cleaned value...
        if _being_read.get() is instance:
            instance.__dict__[self.field.name] = value
            return
        super().__set__(instance, value)


class StatusField(_FSMField[SetT, GetT]):
    """A status that only transition methods change; if `choices` is a class, its members are returned.

    The protection is per instance. django-fsm-2's own mixins switch it off for the whole class during a refresh, so
    that a failed refresh leaves it off for the whole process.
    """

    descriptor_class = StatusDescriptor

    def __init__(
        self: StatusField[str, StatusT], *args: Any, choices: type[StatusT] | Sequence[Any], **kwargs: Any
    ) -> None:
        self.members = {each.value: each for each in choices} if isinstance(choices, type) else {}
        kwargs["choices"] = choices
        kwargs["protected"] = True
        kwargs.setdefault("max_length", 32)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        """Return the field's arguments without those that the constructor sets."""
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("protected", None)
        return name, path, args, kwargs


ANY_OTHER: Final = "+"
"""As the source of a transition: every status but its target. django-fsm-2 writes it so."""


def transition(
    field: Any, *, source: Sequence[str], target: str, **options: Any
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Turn a method into a transition and keep its signature, which django-fsm-2's own decorator hides."""
    return django_fsm.transition(field, source=source, target=target, **options)


def was_booked_by_person(row: Any) -> bool:
    """Return whether a person has booked a row, and no provider has confirmed it."""
    return bool(row.is_by_person)
