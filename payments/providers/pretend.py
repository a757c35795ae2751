"""Pretend money, and secrets that everybody can read: fine while developing, and nothing that a shop may believe.

The simulator, a test key and a sandbox let a payer “pay” with nothing. A secret that is printed in the documentation
proves nothing at all, so outside of DEBUG no setting allows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from payments.conf import allows_pretend_money
from payments.providers.base import BaseProvider

PUBLISHED: Final = frozenset({"sk_sim_test", "whsec_simulator"})
"""What the simulator is started with unless it is told otherwise."""

_BLANK: Final = re.compile(r"[A-Za-z_]*\.\.\.")
"""What stands in examples in place of a secret."""


def is_refused(provider: BaseProvider[Any]) -> bool:
    """Return whether a provider's word counts for nothing: it moves pretend money, and nothing says that it is to."""
    return is_pretending(provider) and not provider.is_meant_to_pretend


def is_pretending(provider: BaseProvider[Any]) -> bool:
    """Return whether a provider moves pretend money where a shop is open, and no setting of the shop allows it."""
    return not provider.moves_real_money and not allows_pretend_money()


def published_options(options: Any) -> list[str]:
    """Return the names of the options that everybody can read in the documentation, or in this package."""
    return [
        each.name for each in fields(options) if any(map(_is_published, _texts(getattr(options, each.name))))
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (each for each in value if isinstance(each, str))


def _is_published(text: str) -> bool:
    return text in PUBLISHED or _BLANK.fullmatch(text) is not None
