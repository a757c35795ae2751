"""docs/errors.md tells the truth: every code is there, with the status that it comes with, and no other."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from payments import exceptions
from payments.api.errors import ERROR_TYPES, PAYMENT_RULES, TYPES
from payments.providers.paypal.errors import _WORDS
from payments.providers.stripe.errors import _REQUESTS, TAXONOMY, Reason
from payments.simulator.faults import CARDS
from payments.urls import urlpatterns
from tests.docs.codes import PAGE, Use, codes_of_frameworks, codes_of_input, rows, uses

pytestmark = pytest.mark.database_independent

assert urlpatterns  # Importing the addresses imports every view, and with them all that they read.

PYTHON = "From Python only"
FOR_PROVIDERS = frozenset({"last_digit_not_zero"})
"""What only providers ask for: they turn it into refusals of their own."""


def test_every_code_is_described_and_no_other() -> None:
    stripe = {str(reason) for reason in Reason} | set(_REQUESTS) | {"invalid_request"}
    paypal = {issue.lower() for issue in _WORDS}
    in_source = {use.code for use in uses()} | codes_of_input() | codes_of_frameworks() | stripe | paypal

    hint = "describe it in docs/errors.md, and say in tests/api/provocations.py what is answered with it"
    assert {row.code for row in rows()} == in_source, hint


def test_no_code_is_described_twice_in_one_place() -> None:
    counted = Counter((row.section, row.code) for row in rows() if row.statuses)

    assert [place for place, count in counted.items() if count > 1] == []


def raised() -> list[Use]:
    """Return the uses whose status the table of the API's errors decides."""
    return [
        use
        for use in uses()
        if isinstance(getattr(exceptions, use.called, None), type)
        and use.called != "WebhookVerificationError"
        and use.code not in FOR_PROVIDERS
    ]


def test_every_code_is_described_with_the_status_of_its_error() -> None:
    for use in raised():
        kind = getattr(exceptions, use.called)
        status = next(rule.status for known, rule in PAYMENT_RULES if issubclass(kind, known))
        described = [row for row in rows() if row.code == use.code]
        is_for_python = any(
            row.section == PYTHON and row.columns[0] == f"`{use.called}`" for row in described
        )
        statuses = {each for row in described for each in row.statuses}
        allowed = {status, 404} if kind is exceptions.NotFoundError else {status}
        assert is_for_python or allowed & statuses, use


def test_every_status_has_its_type() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("| status | `type` |")[2].partition("\n\n")[0]
    described = {
        (int(status), kind)
        for statuses, kinds in re.findall(r"^\| ([\d, ]+) \| ([^|]+) \|", table, re.MULTILINE)
        for status in statuses.split(", ")
        for kind in re.findall(r"`(\w+)`", kinds)
    }

    assert described >= {(rule.status, rule.type) for _kind, rule in PAYMENT_RULES} | set(TYPES.items())
    assert {kind for _status, kind in described} == ERROR_TYPES


def test_it_is_said_of_every_exception_whether_the_call_may_be_repeated() -> None:
    described = re.findall(r"^\| `(\w+Error)` \| (yes|no) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    public = {
        name: kind
        for name, kind in vars(exceptions).items()
        if isinstance(kind, type) and issubclass(kind, exceptions.PaymentError) and not name.startswith("_")
    }

    assert {name: word == "yes" for name, word in described} == {
        name: kind.retryable for name, kind in public.items()
    }
    assert len(described) == len(public)


def test_every_decline_is_explained_by_what_stripe_says() -> None:
    for row in rows():
        if row.code in set(Reason) and row.section == "Declines":
            said = re.findall(r"`(\w+)`", row.columns[1])
            assert said
            assert {TAXONOMY[each][0] for each in said} == {row.code}, row


def test_the_simulators_declines_are_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    codes = {card.effect.code for card in CARDS.values() if card.effect is not None and card.effect.code}

    assert codes
    assert all(f"`{code}`" in text for code in codes)
