"""A process that captures or refunds and kills itself on the way: `python -m tests.reliability.victim`.

What it is to do comes as JSON on standard input: the database, the providers, the verb, the payment and the point.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import django
from django.conf import settings


def main(order: dict[str, Any]) -> None:
    """Do what was ordered, and be killed at the point; coming back from it is a failure that the parent notices."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    settings.DATABASES["default"] = order["database"]
    settings.PAYMENTS = order["payments"]
    # Only what the verb needs, so that the process is quickly up.
    settings.INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "payments"]
    django.setup()
    _die(order)


def _die(order: dict[str, Any]) -> None:
    from payments.models import Payment, PaymentOperation  # noqa: PLC0415 - models need the apps to be loaded
    from payments.services import capture_payment, refund_payment  # noqa: PLC0415
    from payments.services.ledger.operations import Checkpoint, watching  # noqa: PLC0415

    def kill_at_the_point(point: Checkpoint, operation: PaymentOperation) -> None:
        if point == order["point"]:
            os.kill(os.getpid(), signal.SIGKILL)

    verb = {"capture": capture_payment, "refund": refund_payment}[order["verb"]]
    with watching(kill_at_the_point):
        verb(Payment.objects.get(pk=order["payment"]), amount="60.00")


if __name__ == "__main__":
    main(json.load(sys.stdin))
