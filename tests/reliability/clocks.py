"""Time that a test moves: ours and the simulator's together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from unittest import mock

from payments.simulator import SimulatorService
from payments.stored import stored_moment


class TestClock:
    """Tell what time it is for Django and for the simulator: the real time, moved by `advance`."""

    __test__ = False

    def __init__(self, service: SimulatorService | None = None) -> None:
        self.offset = timedelta(0)
        self._service = service

    def advance(self, step: timedelta) -> None:
        """Let time pass."""
        self.offset += step
        if self._service is not None:
            self._service.set_clock(self.offset.total_seconds())

    def advance_to(self, moment: datetime) -> None:
        """Let time pass until just after a moment."""
        self.advance(max(moment - self.now() + timedelta(milliseconds=1), timedelta(0)))

    def now(self) -> datetime:
        """Return the time that `django.utils.timezone.now` tells."""
        return stored_moment(datetime.now().astimezone() + self.offset)


@contextmanager
def moving_clock(service: SimulatorService | None = None) -> Iterator[TestClock]:
    """Have Django's and the simulator's time follow a clock inside the block.

    Models hold `timezone.now` itself as a default, so what is replaced is what that function looks at.
    """
    clock = TestClock(service)

    class MovedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + clock.offset

    with mock.patch("django.utils.timezone.datetime", MovedDatetime):
        try:
            yield clock
        finally:
            clock.advance(-clock.offset)
