"""The simulator's clock, which a test may set ahead or back."""

from __future__ import annotations

import time


class Clock:
    """Tell the time, shifted by an offset in seconds."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """Return Unix time in seconds."""
        return time.time() + self.offset
