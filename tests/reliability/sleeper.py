"""A process that claims a capture, is stopped before it asks the bank, and goes on when it is told to.

`python -m tests.reliability.sleeper`: what it is to do comes as JSON on standard input, as for the victim; what came of
it goes to standard output: the status of the payment, or the name of the error.
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
    """Do what was ordered."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    settings.DATABASES["default"] = order["database"]
    settings.PAYMENTS = order["payments"]
    settings.INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "payments"]
    django.setup()
    sys.stdout.write(_capture(order["payment"]))


def _capture(payment_id: str) -> str:
    from payments.exceptions import PaymentError  # noqa: PLC0415 - models need the apps to be loaded
    from payments.models import Payment, PaymentOperation  # noqa: PLC0415
    from payments.services import capture_payment  # noqa: PLC0415
    from tests.reliability.places import Checkpoint, watching  # noqa: PLC0415

    def stop_before_asking(point: Checkpoint, operation: PaymentOperation) -> None:
        if point == Checkpoint.CLAIMED:
            os.kill(os.getpid(), signal.SIGSTOP)

    with watching(stop_before_asking):
        try:
            return str(capture_payment(Payment.objects.get(pk=payment_id), amount="30.00").status)
        except PaymentError as error:
            return type(error).__name__


if __name__ == "__main__":
    main(json.load(sys.stdin))
