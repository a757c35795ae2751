"""`payments_expire`: an older name of `payments_worker expiry --once`."""

from __future__ import annotations

from payments.management.loops import OlderName


class Command(OlderName):
    """The job `expiry`, once."""

    job_name = "expiry"
