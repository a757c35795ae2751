"""Rows that may be paid for, and some that can't be."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models


class Shelf(models.Model):
    """Where something stands."""

    name = models.CharField(max_length=20)

    def __str__(self) -> str:
        return self.name


class ShelvedManager(models.Manager["Booking"]):
    """Bookings with their shelves, which many have not: what is joined so can't be locked."""

    def get_queryset(self) -> models.QuerySet[Booking]:
        """Return them."""
        return super().get_queryset().select_related("shelf")


class Booking(models.Model):
    """What other models inherit from."""

    name = models.CharField(max_length=20)
    shelf = models.ForeignKey(Shelf, null=True, blank=True, on_delete=models.SET_NULL)

    objects = ShelvedManager()

    class Meta:
        base_manager_name = "objects"

    def __str__(self) -> str:
        return self.name


class WebBooking(Booking):
    """A booking with its parent's key."""

    browser = models.CharField(max_length=20, blank=True)


class MobileBooking(WebBooking):
    """A booking two steps below."""

    phone = models.CharField(max_length=20, blank=True)


class CodedBooking(Booking):
    """A booking with a key of its own."""

    code = models.CharField(max_length=20, primary_key=True)
    part = models.OneToOneField(Booking, on_delete=models.CASCADE, parent_link=True)


class EarlyBooking(Booking):
    """The same table under another name."""

    class Meta:
        proxy = True


class Row(models.Model):
    """A row that is known by its key alone."""

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.pk)


class UuidRow(Row):
    """A row with a UUID for a key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class TextRow(Row):
    """A row with a text for a key."""

    id = models.CharField(max_length=20, primary_key=True)


class DateRow(Row):
    """A row with a day for a key."""

    id = models.DateField(primary_key=True)


class DecimalRow(Row):
    """A row with a decimal for a key."""

    id = models.DecimalField(max_digits=8, decimal_places=2, primary_key=True)


class LinkedRow(Row):
    """A row with another's key."""

    row = models.OneToOneField(UuidRow, on_delete=models.CASCADE, primary_key=True)


class CompositeRow(Row):
    """A row with a key of two parts."""

    pk: Any = models.CompositePrimaryKey("tenant", "number")
    tenant = models.IntegerField()
    number = models.CharField(max_length=10)
