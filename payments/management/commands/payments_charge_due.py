"""Charge due installments with what their customers have saved."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """Run the job `charges`."""

    help = "Charge due installments with saved payment methods, where the plan was made for that."
    job_names = ("charges",)
