"""What a merchant may ask for, each a checked value, and how untrusted parameters are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from payments.simulator.errors import InvalidRequestError
from payments.simulator.faults import CARDS, Operation
from payments.simulator.runtime import CURRENCIES

LARGEST_AMOUNT: Final = 10**18 - 1
_MOST_METADATA: Final = 50
_LONGEST_METADATA: Final = 500


def decode_object(body: bytes) -> dict[str, Any]:
    """Decode a JSON object; an empty body is an empty object."""
    if not body:
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequestError("invalid_json", "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("invalid_json", "The body must be a JSON object.")
    return value


def check_amount(value: object, param: str = "amount") -> int:
    """Return a positive integer in minor units, or raise."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequestError(
            "invalid_amount", f"{param} must be an integer in minor units.", param=param
        )
    if not 1 <= value <= LARGEST_AMOUNT:
        raise InvalidRequestError(
            "invalid_amount", f"{param} must be from 1 to {LARGEST_AMOUNT}.", param=param
        )
    return value


class Params:
    """The parameters of one request."""

    def __init__(self, values: Mapping[str, Any], *known: str) -> None:
        self._values = values
        for name in values:
            if name not in known:
                raise InvalidRequestError(
                    "unknown_parameter", f"Known parameters: {', '.join(known)}.", param=name
                )

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def optional_text(self, name: str, *, longest: int = 255) -> str | None:
        """Return a string that is not empty, or None."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip() or len(value) > longest or "\0" in value:
            rule = f"{name} must be a string of 1 to {longest} characters."
            raise InvalidRequestError("invalid_parameter", rule, param=name)
        return value

    def text(self, name: str) -> str:
        """Return a string that must be there."""
        value = self.optional_text(name)
        if value is None:
            raise InvalidRequestError("parameter_missing", f"{name} is required.", param=name)
        return value

    def amount(self, name: str = "amount") -> int:
        """Return an amount in minor units that must be there."""
        if name not in self:
            raise InvalidRequestError("parameter_missing", f"{name} is required.", param=name)
        return check_amount(self._values[name], name)

    def optional_amount(self, name: str = "amount") -> int | None:
        """Return an amount in minor units, or None."""
        return self.amount(name) if name in self else None

    def flag(self, name: str) -> bool:
        """Return true or false; false where nothing is said."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise InvalidRequestError("invalid_parameter", f"{name} must be true or false.", param=name)
        return value

    def currency(self) -> str:
        """Return an ISO 4217 code in lower case."""
        code = self.text("currency")
        if code not in CURRENCIES:
            rule = "currency must be an ISO 4217 code in lower case."
            raise InvalidRequestError("invalid_currency", rule, param="currency")
        return code

    def url(self, name: str) -> str | None:
        """Return an absolute http or https address, or None."""
        value = self.optional_text(name, longest=2000)
        if value is None:
            return None
        if not is_web_address(value):
            raise InvalidRequestError("invalid_url", f"{name} must be an absolute http(s) URL.", param=name)
        return value

    def metadata(self) -> Mapping[str, str]:
        """Return strings by name, at most 50."""
        value = self._values.get("metadata") or {}
        if (
            not isinstance(value, dict)
            or len(value) > _MOST_METADATA
            or not all(isinstance(text, str) and len(text) <= _LONGEST_METADATA for text in value.values())
        ):
            rule = "metadata must be an object of at most 50 strings, each of at most 500 characters."
            raise InvalidRequestError("invalid_parameter", rule, param="metadata")
        return value


def is_web_address(value: str) -> bool:
    """Say whether a string is an absolute http(s) URL that is safe to redirect to."""
    try:
        parts = urlsplit(value)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and value.isprintable()
            and " " not in value
        )
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class Initiate:
    """A new intent; amounts in minor units everywhere in this module."""

    operation: ClassVar = Operation.INITIATE
    amount: int
    currency: str
    reference: str
    return_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    customer: str | None = None

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Initiate:
        """Check the body."""
        params = Params(body, "amount", "currency", "reference", "return_url", "metadata", "customer")
        return cls(
            amount=params.amount(),
            currency=params.currency(),
            reference=params.text("reference"),
            return_url=params.url("return_url"),
            metadata=params.metadata(),
            customer=params.optional_text("customer"),
        )


@dataclass(frozen=True, kw_only=True)
class Update:
    """A change of an intent that is not authorized."""

    operation: ClassVar = Operation.UPDATE
    intent: str
    amount: int | None = None
    return_url: str | None = None

    @classmethod
    def parse(cls, intent: str, body: Mapping[str, Any]) -> Update:
        """Check the body."""
        params = Params(body, "amount", "return_url")
        return cls(intent=intent, amount=params.optional_amount(), return_url=params.url("return_url"))


@dataclass(frozen=True, kw_only=True)
class Authorize:
    """A hold of the amount on a card, or the answer to the challenge that came of trying.

    `method` is a saved card, and `off_session` says that its customer is away, so that they can't be asked.
    """

    operation: ClassVar = Operation.AUTHORIZE
    intent: str
    card: str | None = None
    code: str | None = None
    reference: str | None = None
    method: str | None = None
    off_session: bool = False

    @classmethod
    def parse(cls, intent: str, body: Mapping[str, Any]) -> Authorize:
        """Check the body; anything but a test token is refused without repeating it."""
        params = Params(body, "card", "code", "reference", "method", "off_session")
        card = params.optional_text("card")
        if card is not None and "method" in params:
            raise InvalidRequestError("invalid_parameter", "Send card or method, not both.", param="method")
        if card is not None and card not in CARDS:
            raise InvalidRequestError(
                "unknown_card", f"card must be one of: {', '.join(CARDS)}.", param="card"
            )
        return cls(
            intent=intent,
            card=card,
            code=params.optional_text("code", longest=20),
            reference=params.optional_text("reference"),
            method=params.optional_text("method"),
            off_session=params.flag("off_session"),
        )


@dataclass(frozen=True, kw_only=True)
class Capture:
    """A capture of an authorized amount."""

    operation: ClassVar = Operation.CAPTURE
    intent: str
    amount: int
    reference: str

    @classmethod
    def parse(cls, intent: str, body: Mapping[str, Any]) -> Capture:
        """Check the body."""
        params = Params(body, "amount", "reference")
        return cls(intent=intent, amount=params.amount(), reference=params.text("reference"))


@dataclass(frozen=True, kw_only=True)
class Refund:
    """A refund of a captured amount."""

    operation: ClassVar = Operation.REFUND
    intent: str
    amount: int
    reference: str
    reason: str | None = None

    @classmethod
    def parse(cls, intent: str, body: Mapping[str, Any]) -> Refund:
        """Check the body."""
        params = Params(body, "amount", "reference", "reason")
        return cls(
            intent=intent,
            amount=params.amount(),
            reference=params.text("reference"),
            reason=params.optional_text("reason", longest=500),
        )


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """A release of what is not captured."""

    operation: ClassVar = Operation.CANCEL
    intent: str
    reference: str | None = None

    @classmethod
    def parse(cls, intent: str, body: Mapping[str, Any]) -> Cancel:
        """Check the body."""
        return cls(intent=intent, reference=Params(body, "reference").optional_text("reference"))


@dataclass(frozen=True, kw_only=True)
class Retrieve:
    """A look at one intent, or at all with a merchant's reference."""

    operation: ClassVar = Operation.RETRIEVE
    intent: str | None = None
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class CreateCustomer:
    """A new account for a customer."""

    operation: ClassVar = Operation.ACCOUNT
    reference: str
    email: str | None = None

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> CreateCustomer:
        """Check the body."""
        params = Params(body, "reference", "email")
        return cls(reference=params.text("reference"), email=params.optional_text("email"))


@dataclass(frozen=True, kw_only=True)
class FindCustomers:
    """A search for the accounts with a merchant's reference."""

    operation: ClassVar = Operation.ACCOUNT
    reference: str


@dataclass(frozen=True, kw_only=True)
class ListMethods:
    """A look at what a customer has saved."""

    operation: ClassVar = Operation.ACCOUNT
    customer: str


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """The start of saving a card."""

    operation: ClassVar = Operation.ACCOUNT
    customer: str
    return_url: str | None = None

    @classmethod
    def parse(cls, customer: str, body: Mapping[str, Any]) -> SetUp:
        """Check the body."""
        return cls(customer=customer, return_url=Params(body, "return_url").url("return_url"))


@dataclass(frozen=True, kw_only=True)
class RemoveMethod:
    """The removal of a saved card."""

    operation: ClassVar = Operation.ACCOUNT
    customer: str
    method: str


@dataclass(frozen=True, kw_only=True)
class DeleteCustomer:
    """The removal of a customer, and of all that they have saved."""

    operation: ClassVar = Operation.ACCOUNT
    customer: str


AccountCommand = CreateCustomer | FindCustomers | ListMethods | SetUp | RemoveMethod | DeleteCustomer
Command = Initiate | Update | Authorize | Capture | Refund | Cancel | Retrieve | AccountCommand

PARSERS: Final[dict[str, Callable[[str, Mapping[str, Any]], Command]]] = {
    "": Update.parse,
    "authorize": Authorize.parse,
    "captures": Capture.parse,
    "refunds": Refund.parse,
    "cancel": Cancel.parse,
}
