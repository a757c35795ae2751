"""`payments_publish`: an older name of `payments_worker outbox`."""

from __future__ import annotations

from payments.management.loops import LoopCommand


class Command(LoopCommand):
    """The command of the job `outbox`."""

    help = "Send signals that a crash left unsent; the same as payments_worker outbox."
    job_names = ("outbox",)
