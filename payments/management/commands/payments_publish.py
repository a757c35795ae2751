"""Tell signal receivers of events that nobody told them of yet."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """Run the job `outbox`."""

    help = "Tell signal receivers of events that nobody told them of yet."
    job_names = ("outbox",)
