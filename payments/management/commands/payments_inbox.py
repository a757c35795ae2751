"""`payments_inbox`: an older name of `payments_worker inbox --once`."""

from __future__ import annotations

from payments.management.loops import OlderName


class Command(OlderName):
    """The job `inbox`, once."""

    job_name = "inbox"
