"""Reading, writing and dividing amounts of money, exactly or not at all: nothing here rounds.

An amount is a `Decimal` in major units of one currency: `Decimal("10.00")` euros, never 1000 cents.
Most providers follow ISO 4217 in their minor units; the others pass their exceptions as `MinorUnits`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Final

from django.utils import formats
from django.utils.translation import gettext_lazy as _

from payments.exceptions import AmountError, InputError
from payments.money.currencies import exponent, is_known, normalize_currency

ZERO: Final = Decimal(0)

MAX_DIGITS: Final = 19
SCALE: Final = 4
MAX_AMOUNT: Final = Decimal("99999999999999.9999")
"""The largest amount, and the largest total, with one digit less than numeric(19, 4) holds.

SQLite stores it times 10,000 in a 64-bit integer, where it fits nine times: the sum of a few amounts can't overflow.
"""

_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_SCIENTIFIC = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]+")
_NOT_FINITE = re.compile(r"[+-]?(?:s?nan[0-9]*|inf(?:inity)?)", re.IGNORECASE)
_MAX_INT_BITS = 64

# Precise enough for any amount with its decimals, and independent of the caller's own decimal context.
_CONTEXT = Context(prec=60)

_USUAL_PLACES: Final = 2


def parse_amount(
    value: Decimal | int | str, currency_code: str, *, field: str = "amount", allow_zero: bool = False
) -> Decimal:
    """Return an amount from outside as an exact `Decimal` with the currency's decimals.

    `value` is in major units: a `Decimal`, an `int`, or a string of ASCII digits with at most one point ("10.00").
    `currency_code` is an ISO 4217 code in any case. `allow_zero` is for totals, which may be zero. The error names
    `field` as the wrong argument.

    Raises `AmountError` with one of the codes `invalid`, `float_not_allowed`, `not_finite`, `not_positive`,
    `too_large`, `too_many_decimals`, and `CurrencyError` for an unknown currency.
    """
    code = normalize_currency(currency_code)
    number = _read(value, field)
    if number < 0 or (number == 0 and not allow_zero):
        raise _not_positive(field, allow_zero=allow_zero)
    return _with_currency_decimals(_in_range(number, field), code, field)


def exact_decimal(value: Decimal | int | str, *, field: str = "amount") -> Decimal:
    """Return a number that an `AmountField` can store, with exactly four decimals; it may be zero or negative.

    Raises `AmountError` with one of the codes `invalid`, `float_not_allowed`, `not_finite`, `too_large`,
    `too_many_decimals`.
    """
    number = _in_range(_read(value, field), field)
    stored = _quantized(number, SCALE)
    if stored != number:
        raise AmountError(
            _("An amount has at most %(decimals)s decimals."),
            code="too_many_decimals",
            field=field,
            params={"decimals": SCALE},
        )
    return stored


def format_amount(value: Decimal, currency_code: str) -> str:
    """Return an amount for JSON: "10.00" euros, "1000" yen, "1.234" Kuwaiti dinars.

    A value with more decimals than its currency, which can't be stored here, is shown unchanged: neither rounded nor
    refused. An amount in a withdrawn currency is shown with at least two decimals, so that old rows stay readable.
    """
    places = exponent(currency_code) if is_known(currency_code) else _USUAL_PLACES
    return f"{_for_show(value, places):f}"


def display_amount(value: Decimal, currency_code: str) -> str:
    """Return an amount for people, with the separators of the active language: "1,234.50 EUR", "1.234,50 EUR".

    All digits are shown, and those of a withdrawn currency as `format_amount` shows them.
    """
    # Given a string, `number_format` doesn't calculate: it only inserts separators.
    number = formats.number_format(format_amount(value, currency_code), use_l10n=True, force_grouping=True)
    return f"{number} {currency_code.upper()}"


def smallest_amount(currency_code: str) -> Decimal:
    """Return the smallest amount of a currency: 0.01 euros, 1 yen. Raises `CurrencyError` for an unknown currency."""
    return _from_units(1, exponent(currency_code))


def check_multiple(amount: Decimal, currency_code: str, step: Decimal) -> None:
    """Raise `AmountError` (`not_a_multiple`) if an amount isn't a multiple of `step`; both are in major units."""
    if _CONTEXT.remainder(amount, step):
        raise AmountError(
            _("The payment provider takes multiples of %(step)s only, and %(amount)s isn't one."),
            code="not_a_multiple",
            params={
                "amount": display_amount(amount, currency_code),
                "step": display_amount(step, currency_code),
            },
        )


def split_amount(
    total: Decimal, currency_code: str, count: int, *, step: Decimal | None = None
) -> tuple[Decimal, ...]:
    """Divide an amount into `count` parts that add up to it exactly; the first part carries the remainder.

    `total` is in major units: 100.00 euros in three parts are 33.34, 33.33 and 33.33. Each part is a multiple of
    `step`; None means the currency's smallest amount.

    Raises `AmountError` if `total` isn't a positive amount of the currency, with the code `not_a_multiple` if it isn't
    a multiple of `step`, and `too_small_to_split` if a part would be zero. Raises `InputError` naming `count` if that
    isn't a whole number of 1 or more.
    """
    if not _is_whole(count) or count < 1:
        raise InputError(_("The number of parts must be a whole number from 1."), field="count")
    amount = parse_amount(total, currency_code)
    size = smallest_amount(currency_code) if step is None else step
    check_multiple(amount, currency_code, size)
    part, remainder = divmod(int(_CONTEXT.divide(amount, size)), count)
    if part == 0:
        raise AmountError(
            _("%(amount)s can't be split into %(count)s parts: a part would be nothing."),
            code="too_small_to_split",
            params={"amount": display_amount(amount, currency_code), "count": count},
        )
    first, other = (
        _quantized(_CONTEXT.multiply(size, Decimal(times)), exponent(currency_code))
        for times in (part + remainder, part)
    )
    return (first, *[other] * (count - 1))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _read(value: Any, field: str) -> Decimal:
    """Return a caller's value as a finite number, of any size and with any decimals."""
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, str):
        number = _read_string(value, field)
    elif _is_whole(value):
        # Turning a number with a million digits into a Decimal takes seconds; counting its bits takes none.
        number = Decimal(value) if value.bit_length() <= _MAX_INT_BITS else _overflow(field)
    elif isinstance(value, float):
        raise AmountError(
            _('A float can\'t hold an exact amount. Give a string, such as "10.00", or a whole number.'),
            code="float_not_allowed",
            field=field,
        )
    else:
        raise _invalid(field)
    if not number.is_finite():
        raise _not_finite(field)
    return number


def _read_string(value: str, field: str) -> Decimal:
    if _PLAIN.fullmatch(value):
        return Decimal(value)
    if _NOT_FINITE.fullmatch(value):
        raise _not_finite(field)
    if _SCIENTIFIC.fullmatch(value) and _is_beyond_range(value):
        return _overflow(field)
    raise _invalid(field)


def _is_beyond_range(value: str) -> bool:
    """Return whether a number with an exponent is too large, without expanding it: 1e999999999 costs nothing."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return "e-" not in value.lower()
    return not number.is_finite() or number.copy_abs() > MAX_AMOUNT


def _in_range(number: Decimal, field: str) -> Decimal:
    # The size is compared first, since quantizing 1e999999999 would expand it.
    return number if number.copy_abs() <= MAX_AMOUNT else _overflow(field)


def _with_currency_decimals(number: Decimal, code: str, field: str) -> Decimal:
    places = exponent(code)
    amount = _quantized(number, places)
    if amount != number:
        raise AmountError(
            _("An amount in %(currency)s has at most %(decimals)s decimals."),
            code="too_many_decimals",
            field=field,
            params={"currency": code.upper(), "decimals": places},
        )
    return amount


def _quantized(number: Decimal, places: int) -> Decimal:
    quantized = number.quantize(Decimal(1).scaleb(-places, _CONTEXT), context=_CONTEXT)
    return quantized if quantized else quantized.copy_abs()  # no negative zero


def _for_show(value: Decimal, places: int) -> Decimal:
    stored = _in_range(_read(value, "amount"), "amount")
    return next(
        (shown for digits in range(places, SCALE) if (shown := _quantized(stored, digits)) == stored),
        exact_decimal(stored),
    )


def _from_units(units: int, places: int) -> Decimal:
    return Decimal(units).scaleb(-places, _CONTEXT)


def _overflow(field: str) -> Decimal:
    raise AmountError(
        _("An amount is at most %(limit)s."),
        code="too_large",
        field=field,
        params={"limit": f"{MAX_AMOUNT:f}"},
    )


def _invalid(field: str) -> AmountError:
    return AmountError(
        _('An amount is written in digits, with a point before the decimals: "10.00".'),
        code="invalid",
        field=field,
    )


def _not_finite(field: str) -> AmountError:
    return AmountError(_("An amount must be a finite number."), code="not_finite", field=field)


def _not_positive(field: str, *, allow_zero: bool) -> AmountError:
    rule = _("An amount can't be negative here.") if allow_zero else _("An amount must be more than zero.")
    return AmountError(rule, code="not_positive", field=field)


_LAST_DIGIT = 10


@dataclass(frozen=True, kw_only=True)
class MinorUnits:
    """A provider's deviations from ISO 4217.

    `exponents` maps codes in lower case to the number of decimals that the provider uses instead of ISO's.
    `last_digit_zero` names the currencies whose minor units must be a multiple of ten.
    """

    exponents: Mapping[str, int] = field(default_factory=dict)
    last_digit_zero: frozenset[str] = frozenset()

    def exponent(self, currency_code: str) -> int:
        """Return how many decimals a currency has for the provider."""
        code = normalize_currency(currency_code)
        return self.exponents.get(code, exponent(code))

    def step(self, currency_code: str) -> Decimal:
        """Return the amount (major units) whose multiples the provider takes: 0.01 euros, 0.010 dinars."""
        code = normalize_currency(currency_code)
        units = _LAST_DIGIT if code in self.last_digit_zero else 1
        return max(Decimal(units).scaleb(-self.exponent(code), _CONTEXT), smallest_amount(code))


ISO_4217: Final = MinorUnits()
"""Minor units exactly as ISO 4217 defines them."""


def to_minor_units(value: Decimal, currency_code: str, *, rules: MinorUnits = ISO_4217) -> int:
    """Return an amount in the provider's whole minor units: 1000 for 10.00 euros, 1000 for 1000 yen.

    `value` is in major units, zero or more, and has no more decimals than its currency.

    Raises `AmountError`: the codes of `parse_amount`; `too_many_decimals` if the provider takes fewer decimals than the
    currency has and they aren't zero; `last_digit_not_zero` if the provider asks for multiples of ten.
    """
    code = normalize_currency(currency_code)
    scaled = parse_amount(value, code, allow_zero=True).scaleb(rules.exponent(code), _CONTEXT)
    units = int(scaled)
    if units != scaled:
        raise _too_many_decimals(code, rules.exponent(code))
    if code in rules.last_digit_zero and units % _LAST_DIGIT:
        raise AmountError(
            _("The payment provider takes %(currency)s with a last decimal of 0 only."),
            code="last_digit_not_zero",
            params={"currency": code.upper()},
        )
    return units


def from_minor_units(units: int, currency_code: str, *, rules: MinorUnits = ISO_4217) -> Decimal:
    """Return a provider's whole minor units as an amount in major units, with its currency's decimals.

    Raises `AmountError`: `invalid` if `units` isn't an `int`, `not_positive` if it is negative, `too_large`, and
    `too_many_decimals` if the result has more decimals than ISO 4217 gives the currency (5.50 Icelandic krona).
    """
    code = normalize_currency(currency_code)
    if isinstance(units, bool) or not isinstance(units, int):
        raise AmountError(_("Minor units must be a whole number."), code="invalid")
    # The range is checked on the integer, which is cheap, before it becomes a Decimal.
    exact_decimal(units // 10 ** rules.exponent(code))
    return parse_amount(Decimal(units).scaleb(-rules.exponent(code), _CONTEXT), code, allow_zero=True)


def _too_many_decimals(code: str, places: int) -> AmountError:
    return AmountError(
        _("The payment provider takes %(currency)s with at most %(decimals)s decimals."),
        code="too_many_decimals",
        params={"currency": code.upper(), "decimals": places},
    )
