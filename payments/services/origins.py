"""Where a change comes from, and by whom: what every entry of the history says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from payments.models import PaymentOperation
from payments.states import EventSource

Actor = AbstractBaseUser | AnonymousUser | None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Say from where a change came, and which user made it, if one did."""

    source: EventSource = EventSource.API
    actor: Any = None

    @classmethod
    def of(cls, *, actor: Actor = None, source: str = EventSource.API) -> Origin:
        """Build an origin from what a verb was given; an anonymous user is nobody."""
        known = actor if actor is not None and actor.is_authenticated else None
        return cls(source=EventSource(source), actor=known)

    @classmethod
    def of_operation(cls, operation: PaymentOperation) -> Origin:
        """Build the origin of an operation's result: whoever asked for it."""
        return cls(source=EventSource(operation.source), actor=operation.actor)

    @property
    def actor_label(self) -> str:
        """The actor's name, kept for when the user is gone."""
        return "" if self.actor is None else str(self.actor.get_username())[:255]
