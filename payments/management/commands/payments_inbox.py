"""Apply stored webhook events that are due."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """Run the job `inbox`."""

    help = "Apply stored webhook events that are due."
    job_names = ("inbox",)
