"""`payments_reconcile`: an older name of `payments_worker reconciler`."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """The command of the job `reconciler`."""

    help = "Find out unknown outcomes of operations; the same as payments_worker reconciler."
    job_names = ("reconciler",)
