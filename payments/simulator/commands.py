"""What a merchant may ask for, each a checked value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from payments.simulator.cards import CARDS
from payments.simulator.errors import InvalidRequestError
from payments.simulator.faults import Operation
from payments.simulator.params import Params


@dataclass(frozen=True, kw_only=True)
class Initiate:
    """Make an intent; amounts in minor units everywhere in this module."""

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
    """Change an intent that is not authorized."""

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
    """Hold the amount on a card, or answer the challenge that came of trying.

    `method` is a saved card, and `off_session` says that its customer is away, so that nobody can be asked.
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
        """Check the body; what is no test token is refused without repeating it."""
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
    """Take an authorized amount."""

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
    """Give a captured amount back."""

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
    """Release what is not captured."""

    operation: ClassVar = Operation.CANCEL
    intent: str
    reference: str | None = None

    @classmethod
    def parse(cls, intent: str, body: Mapping[str, Any]) -> Cancel:
        """Check the body."""
        return cls(intent=intent, reference=Params(body, "reference").optional_text("reference"))


@dataclass(frozen=True, kw_only=True)
class Retrieve:
    """Look at one intent, or at all with a merchant's reference."""

    operation: ClassVar = Operation.RETRIEVE
    intent: str | None = None
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class CreateCustomer:
    """Make an account for a customer."""

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
    """Look for the accounts with a merchant's reference."""

    operation: ClassVar = Operation.ACCOUNT
    reference: str


@dataclass(frozen=True, kw_only=True)
class ListMethods:
    """Look at what a customer has saved."""

    operation: ClassVar = Operation.ACCOUNT
    customer: str


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """Start saving a card."""

    operation: ClassVar = Operation.ACCOUNT
    customer: str
    return_url: str | None = None

    @classmethod
    def parse(cls, customer: str, body: Mapping[str, Any]) -> SetUp:
        """Check the body."""
        return cls(customer=customer, return_url=Params(body, "return_url").url("return_url"))


@dataclass(frozen=True, kw_only=True)
class RemoveMethod:
    """Forget a saved card."""

    operation: ClassVar = Operation.ACCOUNT
    customer: str
    method: str


@dataclass(frozen=True, kw_only=True)
class DeleteCustomer:
    """Forget a customer, and all that they have saved."""

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
