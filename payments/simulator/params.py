"""Reading untrusted parameters: each is named, typed and bounded, and what is not asked for is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from payments.simulator.currencies import CURRENCIES
from payments.simulator.errors import InvalidRequestError

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
