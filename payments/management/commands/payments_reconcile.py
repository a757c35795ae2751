"""`payments_reconcile`: an older name of `payments_worker reconciler --once`."""

from __future__ import annotations

from payments.management.loops import OlderName


class Command(OlderName):
    """The job `reconciler`, once."""

    job_name = "reconciler"
