"""What a look at the addresses finds that a payment service sends its events to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True)
class EndpointReport:
    """Say what of an address isn't as it should be.

    `missing` are the events that aren't sent there, `problems` what else keeps them from being believed or sent, and
    `notes` what is only good to know.
    """

    url: str
    missing: Sequence[str] = ()
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def is_good(self) -> bool:
        """Whether everything that is needed arrives."""
        return not (self.missing or self.problems)


def leads_to(url: str, path: str) -> bool:
    """Return whether a URL has this path, with a slash at its end or without."""
    return urlsplit(url).path.rstrip("/") == path.rstrip("/")
