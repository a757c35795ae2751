"""What a provider reports of a session's whole life, in cumulative amounts.

A fact may arrive twice, late or out of order; being cumulative, it still says where things stand. Requests may be
refused, facts may not, so nothing here judges one. Only what a payer's browser would follow is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from django.utils.functional import Promise

from payments.states import MovementKind, MovementStatus, SessionStatus

ACTION_TYPES: Final = ("redirect", "challenge", "provider_script")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Say why something was refused.

    `code` is stable, for programs: one word of small letters, digits and `_`. `detail` is for operators only.
    `message` may be shown to the payer: as a lazy translation, it is told to each reader in their own language.
    """

    code: str
    message: str | Promise = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class NextAction:
    """Say what the payer has to do, in words that a front end can follow without knowing the provider.

    `redirect`: send the browser to `url`. `challenge`: ask for what `url` or the provider's `data` describes and
    authorize again with it. `provider_script`: hand `data` to the provider's own script. Raises ValueError for another
    type, for a redirect that leads nowhere, and for a `url` that isn't absolute with `https` (or `http`) and a host: a
    browser would run or open anything else in the shop's own name.
    """

    type: Literal["redirect", "challenge", "provider_script"]
    url: str | None = None

    def __post_init__(self) -> None:
        if self.type not in ACTION_TYPES:
            raise ValueError(f"An action's type is one of {', '.join(ACTION_TYPES)}.")
        if self.type == "redirect" and self.url is None:
            raise ValueError("A redirect needs a url.")
        if self.url is not None and not is_web_address(self.url):
            raise ValueError("An action's url is absolute, with http or https and a host.")


@dataclass(frozen=True, kw_only=True)
class MovementFact:
    """Report one capture or refund as the provider has it.

    `operation_id` is our reference as the provider echoes it; None where the movement was made at the provider itself.
    """

    kind: MovementKind
    status: MovementStatus
    amount: Decimal
    currency_code: str
    operation_id: str | None = None
    provider_reference: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class SessionFact:
    """Report where a session stands at the provider.

    `status` is None where the report is silent about it; `amount` is what the provider was asked to hold. `movements`
    lists each capture and refund that the report knows of; a provider that only knows totals leaves it empty and gives
    `captured_amount` and `refunded_amount`. `charged_back_amount` is what the payer's bank has taken back in all,
    `reinstated_amount` what of that came back when a dispute was won. `unclear_charge_backs` names each withdrawal that
    can't be a part of these, because nobody says how much it is in the session's currency. `awaits_authorization` tells
    that the payer has done their part at the provider's own place, and nothing is missing but our asking for the money.
    """

    currency_code: str
    status: SessionStatus | None = None
    provider_reference: str | None = None
    amount: Decimal | None = None
    authorized_amount: Decimal | None = None
    captured_amount: Decimal | None = None
    refunded_amount: Decimal | None = None
    canceled_amount: Decimal | None = None
    charged_back_amount: Decimal | None = None
    reinstated_amount: Decimal | None = None
    unclear_charge_backs: tuple[str, ...] = ()
    movements: tuple[MovementFact, ...] = ()
    failure: Failure | None = None
    next_action: NextAction | None = None
    awaits_authorization: bool = False
    data: Mapping[str, Any] | None = field(default=None, repr=False)
    provider_data: Mapping[str, Any] | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    occurred_at: datetime | None = None


def is_web_address(url: Any) -> bool:
    """Return whether a browser may be sent somewhere: by `https` or `http`, to a host, and nowhere else."""
    if not isinstance(url, str) or any(character <= " " or character in "\\\x7f" for character in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
