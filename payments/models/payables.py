"""How a collection refers to its payable: any of the shop's rows, by its model and by its key as text.

With multi-table inheritance one row has several models: a `WebOrder` is an `Order` too. A collection stores the model
with which it was opened, and is found under any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.apps import apps
from django.contrib.contenttypes.fields import GenericForeignKey
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import models, router

Model = type[models.Model]

MAX_KEY: Final = 255


class PayableForeignKey(GenericForeignKey):
    """A reference to one of the shop's rows, in whatever database routers have it written."""

    def contribute_to_class(self, cls: Any, name: str, *args: Any, **kwargs: Any) -> None:
        """Wrap the attribute that reads the row: the field itself, or in later Django versions a descriptor."""
        super().contribute_to_class(cls, name, *args, **kwargs)
        setattr(cls, name, _Payable(self, vars(cls)[name]))

    def find(self, collection: Any) -> models.Model | None:
        """Return the row, or None if it or its model is gone, or its key has another type now."""
        if collection.payable_type_id is None:
            return None
        content_type = self.get_content_type(id=collection.payable_type_id, using=collection._state.db)
        model = content_type.model_class()
        if model is None:
            return None
        alias = router.db_for_write(model) if router.routers else collection._state.db
        try:
            return model._base_manager.using(alias).get(pk=collection.payable_id)
        except (ObjectDoesNotExist, ValidationError, ValueError, TypeError):
            return None


class _Payable:
    """A descriptor that works as Django's own, but reads the row from the database to which it is written."""

    def __init__(self, field: PayableForeignKey, theirs: Any) -> None:
        self._field = field
        self._theirs = theirs

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is not None and not self._field.is_cached(instance):
            self._field.set_cached_value(instance, self._field.find(instance))
        return self._theirs.__get__(instance, cls)

    def __set__(self, instance: Any, value: Any) -> None:
        self._theirs.__set__(instance, value)


def key_text(model: Model, key: Any) -> str | None:
    """Return a key as text, or None if no text can be converted back to the key, as with a composite one."""
    field: Any = model._meta.pk
    while field.remote_field is not None:
        field = field.target_field
    try:
        exact = field.to_python(key)
        text = f"{exact:.{field.decimal_places}f}" if isinstance(field, models.DecimalField) else str(exact)
        is_lossless = field.to_python(text) == exact
    except (ValidationError, ValueError, TypeError):
        return None
    return text if is_lossless and len(text) <= MAX_KEY else None


def concrete(model: Model) -> Model:
    """Return the concrete model of a proxy, or the model itself."""
    return model._meta.concrete_model or model


def topmost_model(model: Model) -> Model:
    """Return the topmost parent of a model in multi-table inheritance, or the model itself."""
    top = concrete(model)
    while top._meta.parents:
        top = next(iter(top._meta.parents))
    return top


def names_of(payable: models.Model) -> Iterator[tuple[Model, str]]:
    """Yield every model that a row belongs to, and its key there as text."""
    own = concrete(payable._meta.model)
    parts = {own, *own._meta.get_parent_list()}
    for model in relatives_of(own):
        holder = _key_holder(model)
        if holder in parts:
            keys = [getattr(payable, holder._meta.pk.attname)]
        else:  # A child with a key of its own, which only a query can find.
            top = topmost_model(own)
            rows = model._base_manager.filter(**{top._meta.pk.name: getattr(payable, top._meta.pk.attname)})
            keys = list(rows.values_list("pk", flat=True))
        texts = (key_text(model, key) for key in keys)
        yield from ((model, text) for text in texts if text is not None)


def relatives_of(model: Model) -> tuple[Model, ...]:
    """Return the models that may hold a part of the same row: the model itself, its parents and all their children."""
    own = concrete(model)
    line = [own, *own._meta.get_parent_list()]
    return tuple(dict.fromkeys([*line, *(child for parent in line for child in _children(parent))]))


def namesakes_of(model: Model) -> tuple[Model, ...]:
    """Return the models in which the same row has the same key, the model itself first."""
    return tuple(each for each in relatives_of(model) if _key_holder(each) is _key_holder(model))


def _children(model: Model) -> Iterator[Model]:
    for child in model.__subclasses__():
        if child._meta.apps is apps and not (child._meta.abstract or child._meta.proxy):
            yield child
        yield from _children(child)


def _key_holder(model: Model) -> Model:
    """Return the model that defines a model's key: itself, or a parent if the key is the link to it."""
    holder = concrete(model)
    field: Any = holder._meta.pk
    while field.remote_field is not None and field.remote_field.parent_link:
        holder = field.remote_field.model
        field = holder._meta.pk
    return holder
