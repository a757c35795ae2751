"""Facts: what a provider tells of a session's whole life, in cumulative amounts.

A fact may arrive twice, late or out of order; being cumulative, it still says where things stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from django.utils.functional import Promise

from payments.states import MovementKind, MovementStatus, SessionStatus

ACTION_TYPES: Final = ("redirect", "challenge", "provider_script")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why something was refused.

    `code` is stable, for programs: one word of small letters, digits and `_`. `detail` is for operators only.
    `message` may be shown to the payer: as a lazy translation, in the language of each reader.
    """

    code: str
    message: str | Promise = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class NextAction:
    """What the payer has to do, in words that a front end can follow without knowing the provider.

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
    """One capture or refund as the provider has it.

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
    """Where a session stands at the provider. Requests may be refused, facts may not: nothing here judges one.

    `status` is None where the fact is silent about it; `amount` is what the provider was asked to hold. `movements`
    lists each capture and refund that the provider tells of; one that only knows totals leaves it empty and gives
    `captured_amount` and `refunded_amount`. `charged_back_amount` is what the payer's bank has taken back in all,
    `reinstated_amount` what of that came back when a dispute was won. `unclear_charge_backs` names each withdrawal that
    can't be a part of these, because nobody says how much it is in the session's currency. `awaits_authorization` tells
    that the payer has done their part at the provider's own place: all that is missing is that we ask for the money, or
    for what has become of it.
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


def encode_fact(fact: SessionFact) -> dict[str, Any]:
    """Return a fact as a dict that DjangoJSONEncoder can write, to be applied later: amounts and times become texts."""
    encoded: dict[str, Any] = _encoded(fact)
    return encoded


def decode_fact(encoded: Mapping[str, Any]) -> SessionFact:
    """Return the fact that `encode_fact` encoded, after a trip through JSON.

    What an older version left out has its default.
    """
    decoded: SessionFact = _decoded(SessionFact, encoded)
    return decoded


def _encoded(value: Any) -> Any:
    """Return a value as JSON can hold it, without loss: times to the microsecond, amounts to the last zero."""
    if is_dataclass(value):
        return {each.name: _encoded(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [_encoded(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value) if isinstance(value, Decimal) else value


def _decoded(hint: Any, value: Any) -> Any:
    """Return a value of the type that a fact declares for it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if value is None else _decoded(arguments[0], value)
    if origin is tuple:
        return tuple(_decoded(arguments[0], each) for each in value)
    if isinstance(hint, type) and is_dataclass(hint):
        known = ((name, part) for name, part in _hints(hint).items() if name in value)
        return hint(**{name: _decoded(part, value[name]) for name, part in known})
    if hint is datetime:
        return datetime.fromisoformat(value)
    return hint(value) if hint is Decimal or (isinstance(hint, type) and issubclass(hint, Enum)) else value


@cache
def _hints(dataclass: type) -> dict[str, Any]:
    return get_type_hints(dataclass)
