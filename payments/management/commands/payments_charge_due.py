"""`payments_charge_due`: an older name of `payments_worker charges`."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """The command of the job `charges`."""

    help = "Charge due installments of automatic plans with saved payment methods; the same as payments_worker charges."
    job_names = ("charges",)
