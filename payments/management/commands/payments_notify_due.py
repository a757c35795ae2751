"""Write an event for each installment that has fallen due."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """Run the job `installments`."""

    help = "Write an event for each installment that has fallen due."
    job_names = ("installments",)
