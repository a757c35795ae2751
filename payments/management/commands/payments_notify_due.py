"""`payments_notify_due`: an older name of `payments_worker installments`."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """The command of the job `installments`."""

    help = "Send a signal for each installment that has fallen due; the same as payments_worker installments."
    job_names = ("installments",)
