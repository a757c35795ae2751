"""`payments_charge_due`: an older name of `payments_worker charges --once`."""

from __future__ import annotations

from payments.management.loops import OlderName


class Command(OlderName):
    """The job `charges`, once."""

    job_name = "charges"
