"""`payments_publish`: an older name of `payments_worker outbox --once`."""

from __future__ import annotations

from payments.management.loops import OlderName


class Command(OlderName):
    """The job `outbox`, once."""

    job_name = "outbox"
