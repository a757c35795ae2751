"""Cancel sessions and authorizations whose time is over."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """Run the job `expiry`."""

    help = "Cancel sessions and authorizations whose time is over."
    job_names = ("expiry",)
