"""`payments_expire`: an older name of `payments_worker expiry`."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """The command of the job `expiry`."""

    help = "Cancel sessions and authorizations that have expired; the same as payments_worker expiry."
    job_names = ("expiry",)
