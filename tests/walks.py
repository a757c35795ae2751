"""Counts the files that one deed walks through: `python -m tests.walks [WALK …] [--files]`.

What can be told in few files can be understood. Each walk is made twice, and counted the second time, when everything
is imported, cached and compiled. The ground, on which every room stands, isn't counted, and neither is what the tests
bring along. A provider that answers at once stands for all.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

from django.contrib.auth import get_user_model
from django.test import Client
from django.test.utils import get_runner
from django.urls import reverse

import payments
from payments import services
from payments.models import Payment
from payments.providers import SessionFact, WebhookResult
from payments.states import SessionStatus
from payments.testing import Script, scripted_provider
from tests.admin.acting import action_url, open_form

PACKAGE: Final = Path(payments.__file__).parent
GROUND: Final = (
    *("states", "money", "ids", "exceptions", "signals", "conf", "redaction", "models"),
    *("stored", "users", "addresses"),
)
UNCOUNTED: Final = {*GROUND, "testing", "contrib", "simulator"}


@dataclass(kw_only=True)
class Walk:
    """The calls of the package's own functions during a deed, by file."""

    calls: Counter[str] = field(default_factory=Counter)

    @property
    def files(self) -> list[str]:
        """The files above the ground, most called first."""
        return [name for name, _count in self.calls.most_common()]


@contextmanager
def counting() -> Iterator[Walk]:
    """Count the calls of a block, on its own thread."""
    walk = Walk()
    rooms: dict[CodeType, str | None] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            code = frame.f_code
            if code not in rooms:
                rooms[code] = _file_of(code)
            if (name := rooms[code]) is not None:
                walk.calls[name] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield walk
    finally:
        sys.setprofile(before)


def _file_of(code: CodeType) -> str | None:
    """Return the file above the ground in which a function is, or None for one of others."""
    path = Path(code.co_filename)
    if not path.is_relative_to(PACKAGE):
        return None
    name = path.relative_to(PACKAGE)
    return None if name.parts[0].removesuffix(".py") in UNCOUNTED else name.as_posix()


def capture_by_verb(_script: Script) -> Walk:
    """Take a part of a payment as a shop's own code does."""
    payment = _authorized()
    with counting() as walk:
        services.capture_payment(payment, amount="25.00")
    assert payment.captured_amount == Decimal(25)
    return walk


def capture_over_http(_script: Script) -> Walk:
    """Take a part of a payment over the staff's API, with a key."""
    payment, client = _authorized(), _staff()
    address = reverse("payments:staff-payment-capture", args=[payment.pk])
    headers = {"Idempotency-Key": f"capture-{payment.pk}"}
    with counting() as walk:
        answer = client.post(address, {"amount": "25.00"}, content_type="application/json", headers=headers)
    assert answer.status_code == 200, answer.content
    return walk


def capture_in_admin(_script: Script) -> Walk:
    """Confirm a capture on the last page of the admin's action."""
    payment, client = _authorized(), _staff()
    sent = open_form(client, payment, "capture")
    with counting() as walk:
        answer = client.post(action_url(payment, "capture"), {**sent, "amount": "25.00", "confirmed": "1"})
    payment.refresh_from_db()
    assert (answer.status_code, payment.captured_amount) == (302, Decimal(25)), answer.content
    return walk


def capture_by_webhook(script: Script) -> Walk:
    """Learn from a provider's webhook that money was captured."""
    payment = _authorized()
    fact = SessionFact(
        status=SessionStatus.AUTHORIZED,
        authorized_amount=Decimal(100),
        captured_amount=Decimal(100),
        currency_code="eur",
    )
    result = WebhookResult(
        event_id=f"event-{payment.pk}", event_type="captured", session_id=payment.session_id, fact=fact
    )
    script.next("parse_webhook", result)
    with counting() as walk:
        answer = Client().post(
            reverse("payments:webhook", args=["scripted"]), "{}", content_type="application/json"
        )
    payment.refresh_from_db()
    assert (answer.status_code, payment.captured_amount) == (200, Decimal(100)), answer.content
    return walk


def _authorized() -> Payment:
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="scripted")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    return payment


def _staff() -> Client:
    users = get_user_model().objects
    user = users.filter(username="walker").first() or users.create_superuser("walker")
    client = Client()
    client.force_login(user)
    return client


WALKS: Final[dict[str, Callable[[Script], Walk]]] = {
    "verb": capture_by_verb,
    "http": capture_over_http,
    "admin": capture_in_admin,
    "webhook": capture_by_webhook,
}


def walked(name: str) -> Walk:
    """Make a walk twice, each time with a payment of its own, and return the second."""
    with scripted_provider() as script:
        WALKS[name](script)
        return WALKS[name](script)


def main() -> None:
    """Make the walks in a database in memory, and tell what they passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("walks", nargs="*", metavar="WALK", help=f"one of {', '.join(WALKS)}; all without")
    parser.add_argument("--files", action="store_true", help="name the files, with the calls in each")
    arguments = parser.parse_args()
    runner: Any = get_runner(django.conf.settings)(verbosity=0)
    runner.setup_test_environment()
    databases = runner.setup_databases()
    try:
        for name in arguments.walks or WALKS:
            walk = walked(name)
            print(f"{name}: {len(walk.calls)} files, {walk.calls.total()} calls")  # noqa: T201
            if arguments.files:
                for file, count in walk.calls.most_common():
                    print(f"    {count:4} {file}")  # noqa: T201
    finally:
        runner.teardown_databases(databases)
        runner.teardown_test_environment()


if __name__ == "__main__":
    main()
