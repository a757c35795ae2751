"""Who logs in: a superuser, somebody who may only look, and four customers. Their passwords are known to everybody."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission, User


@dataclass(frozen=True, kw_only=True)
class Person:
    """Describe a user."""

    username: str
    first_name: str
    last_name: str
    role: str
    is_staff: bool = False
    is_superuser: bool = False

    @property
    def password(self) -> str:
        """What everybody knows: staff log in with their name twice, customers with “demo”."""
        return self.username if self.is_staff else "demo"


PEOPLE: Final = (
    Person(
        username="admin",
        first_name="Ada",
        last_name="Ferrant",
        role="superuser",
        is_staff=True,
        is_superuser=True,
    ),
    Person(
        username="viewer",
        first_name="Vic",
        last_name="Odell",
        role="staff: may look at everything but private data, may do nothing",
        is_staff=True,
    ),
    Person(username="mia", first_name="Mia", last_name="Lindqvist", role="customer"),
    Person(username="kim", first_name="Kim", last_name="Okafor", role="customer of docs/storefront.md"),
    Person(username="kenji", first_name="Kenji", last_name="Arai", role="customer, pays in yen"),
    Person(
        username="noor",
        first_name="Noor",
        last_name="Haddad",
        role="customer, pays in dinars",
    ),
)


def invite_people() -> None:
    """Have every user; those that are there stay as they are, passwords included."""
    for person in PEOPLE:
        if not User.objects.filter(username=person.username).exists():
            _create(person)
    viewer = User.objects.get(username="viewer")
    seen = Permission.objects.filter(
        codename__startswith="view_", content_type__app_label__in=["payments", "example_shop"]
    )
    viewer.user_permissions.set(seen.exclude(codename="view_provider_data"))


def _create(person: Person) -> None:
    User.objects.create(
        username=person.username,
        password=_hashed(person.password),
        first_name=person.first_name,
        last_name=person.last_name,
        email=f"{person.username}@example.com",
        is_staff=person.is_staff,
        is_superuser=person.is_superuser,
    )


@cache
def _hashed(password: str) -> str:
    """Hash a password once: it takes its time on purpose, and the four customers share one."""
    return make_password(password)
