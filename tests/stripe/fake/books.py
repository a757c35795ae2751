"""The fake's books: every object that it has made, and the events that tell of them."""

from __future__ import annotations

import copy
import secrets
import string
import time
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fakes import Json
from tests.stripe.fake.wire import ApiError

API_VERSION: Final = "2026-10-28.endive"

_LETTERS: Final = string.ascii_letters + string.digits
_NAMES: Final = {
    "pi": "payment_intent",
    "pm": "PaymentMethod",
    "cus": "customer",
    "re": "refund",
    "seti": "setup_intent",
}


@dataclass(kw_only=True)
class Books:
    """Hold one account's objects by id, in the order in which they were made."""

    livemode: bool = False
    objects: dict[str, Json] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    is_searchable: bool = True

    def add(self, prefix: str, kind: str, **values: Any) -> Json:
        """Make an object."""
        row: Json = {
            "id": f"{prefix}_{''.join(secrets.choice(_LETTERS) for _ in range(24))}",
            "object": kind,
            "created": int(time.time()),
            "livemode": self.livemode,
            "metadata": {},
            **values,
        }
        self.objects[row["id"]] = row
        return row

    def get(self, object_id: str, kind: str, *, param: str) -> Json:
        """Return an object, or refuse as Stripe does."""
        row = self.objects.get(object_id)
        if row is None or row["object"] != kind:
            name = _NAMES.get(object_id.partition("_")[0], kind)
            raise ApiError(
                f"No such {name}: '{object_id}'",
                status=404,
                code="resource_missing",
                param=param,
                is_stored=False,
            )
        return row

    def all(self, kind: str, **values: Any) -> list[Json]:
        """Return the objects of a kind, oldest first."""
        rows = [row for row in self.objects.values() if row["object"] == kind]
        return [row for row in rows if all(row.get(name) == value for name, value in values.items())]

    def emit(self, event_type: str, row: Json) -> None:
        """Note an event, with the object as it is now."""
        event = self.add(
            "evt",
            "event",
            type=event_type,
            api_version=API_VERSION,
            data={"object": copy.deepcopy(row)},
            pending_webhooks=1,
            request={"id": None, "idempotency_key": None},
        )
        del event["metadata"]
        self.events.append(event)
