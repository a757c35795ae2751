"""`payments_notify_due`: an older name of `payments_worker installments --once`."""

from __future__ import annotations

from payments.management.loops import OlderName


class Command(OlderName):
    """The job `installments`, once."""

    job_name = "installments"
