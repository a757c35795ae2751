"""Find out what became of operations whose outcome nobody recorded."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """Run the job `reconciler`."""

    help = "Find out what became of operations whose outcome nobody recorded."
    job_names = ("reconciler",)
