"""Payers and actors: rows of the project's user model, whatever object stands for one."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import models, router
from django.utils.translation import gettext_lazy as _

from payments.exceptions import InputError


def email_of(user: AbstractBaseUser) -> str | None:
    """Return a user's e-mail address, from the field that the user model names for it, or None."""
    return getattr(user, user.get_email_field_name(), None) or None


def key_of(user: Any) -> str:
    """Return a user's primary key as text, or "" for None or an unsaved user."""
    return "" if user is None or user.pk is None else str(user.pk)


def user_of(person: Any, *, field: str) -> Any:
    """Return the saved user that an object stands for, or None for an AnonymousUser and the like.

    An object that has only a user's primary key, such as a token, stands for the user with that key. Raises InputError
    (`unknown_user`, for the argument `field`) if there is no such user, and for a row of another model.
    """
    if person is None or not getattr(person, "is_authenticated", True):
        return None
    is_row = isinstance(person, get_user_model())
    if is_row and not person._state.adding:
        return person
    # A row of another model may have the same key as an unrelated user.
    is_foreign = isinstance(person, models.Model) and not is_row
    user = None if is_foreign else _user_with_key(getattr(person, "pk", None))
    if user is None:
        raise InputError(
            _("This is no user of the project: “%(person)s”."),
            code="unknown_user",
            field=field,
            params={"person": type(person).__name__},
        )
    return user


def _user_with_key(key: Any) -> Any:
    user_model = get_user_model()
    try:
        users = user_model._base_manager.using(router.db_for_write(user_model))
        return None if key is None else users.filter(pk=key).first()
    except (TypeError, ValueError, OverflowError, ValidationError):
        return None
