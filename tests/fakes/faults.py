"""How the fake misbehaves, on request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    """Name a way to misbehave; those that end in “after” do what was asked first."""

    TOO_MANY = "429"
    CONFLICT = "409"
    ERROR_BEFORE = "500 before"
    ERROR_AFTER = "500 after"
    SILENCE_BEFORE = "silence before"
    SILENCE_AFTER = "silence after"
    GARBAGE_BEFORE = "garbage before"
    GARBAGE_AFTER = "garbage after"
    CUT_OFF_AFTER = "cut off after"

    @property
    def acts(self) -> bool:
        """Whether what was asked is done all the same."""
        return self.value.endswith("after")


USELESS: Final = tuple(fault for fault in Fault if fault != Fault.TOO_MANY)
"""After these nobody knows whether what was asked is done."""


@dataclass(kw_only=True)
class Plan:
    """Say which requests misbehave, and how often, after how many that don't."""

    operation: str
    fault: Fault
    times: int
    after: int = 0
