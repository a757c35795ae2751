"""`payments_inbox`: an older name of `payments_worker inbox`."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """The command of the job `inbox`."""

    help = "Apply stored webhook events; the same as payments_worker inbox."
    job_names = ("inbox",)
