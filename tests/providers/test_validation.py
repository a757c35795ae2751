"""What a plug-in returns is taken for an answer only if it can be kept and shown."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, cast

import pytest
from django.utils.translation import gettext_lazy

from payments.providers import (
    AuthorizeResult,
    CaptureResult,
    Failure,
    MovementFact,
    NextAction,
    RetrieveResult,
    SessionFact,
    WebhookResult,
)
from payments.providers.account_holders import ListMethodsResult, SavedPaymentMethod
from payments.providers.calls import UnusableAnswerError, check_usable
from payments.states import MovementKind, MovementStatus, Outcome, SessionStatus

pytestmark = pytest.mark.database_independent

NESTED: dict[str, Any] = {}
for _level in range(40):
    NESTED = {"in": NESTED}

LOOP: dict[str, Any] = {}
LOOP["in"] = LOOP

UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "a next action that is a dict": ({"next_action": {"type": "redirect"}}, "next_action"),
    "data that is a list": ({"data": []}, "data"),
    "NaN in data": ({"data": {"a": [float("nan")]}}, "data"),
    "an infinity in private data": ({"provider_data": {"a": float("inf")}}, "provider_data"),
    "a NUL in data": ({"data": {"a": {"b": "\0"}}}, "data"),
    "a NUL in a key": ({"data": {"a\0": 1}}, "data"),
    "half a pair in data": ({"data": {"a": "\ud800"}}, "data"),
    "an object in data": ({"data": {"a": object()}}, "data"),
    "endless data": ({"data": LOOP}, "data"),
    "deep data": ({"data": NESTED}, "data"),
    "bytes in the log": ({"provider_log": {"a": b"x"}}, "provider_log"),
    "a reference that is a number": ({"provider_reference": 5}, "provider_reference"),
    "a reference that is too long": ({"provider_reference": "x" * 256}, "provider_reference"),
    "a NUL in a reference": ({"provider_reference": "x\0"}, "provider_reference"),
    "an amount that is a text": ({"amount": "10.00"}, "amount"),
    "an amount that is a float": ({"amount": 10.0}, "amount"),
    "a naive time": ({"expires_at": datetime(2026, 1, 1)}, "expires_at"),  # noqa: DTZ001
    "a time that is a text": ({"expires_at": "tomorrow"}, "expires_at"),
    "a failure that is a text": ({"failure": "no"}, "failure"),
    "a failure's code that is a number": ({"failure": Failure(code=cast(str, 5))}, "failure.code"),
    "a NUL in a failure": ({"failure": Failure(code="no", detail="\0")}, "failure.detail"),
}


@pytest.mark.parametrize(("values", "where"), UNUSABLE.values(), ids=list(UNUSABLE))
def test_the_part_that_can_not_be_used_is_named(values: dict[str, Any], where: str) -> None:
    with pytest.raises(UnusableAnswerError) as refusal:
        check_usable(AuthorizeResult(outcome=Outcome.SUCCEEDED, **values))
    assert refusal.value.where == where


def movement(**values: Any) -> MovementFact:
    usual = {
        "kind": MovementKind.CAPTURE,
        "status": MovementStatus.SUCCEEDED,
        "amount": Decimal(1),
        "currency_code": "eur",
    }
    return MovementFact(**{**usual, **values})


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"status": "lost"}, "fact.status"),
        ({"currency_code": None}, "fact.currency_code"),
        ({"movements": [movement()]}, "fact.movements"),
        ({"movements": (movement(), movement(kind="gift"))}, "fact.movements.kind"),
        ({"movements": (movement(amount=None),)}, "fact.movements.amount"),
        ({"movements": ({"kind": "capture"},)}, "fact.movements"),
        ({"awaits_authorization": "yes"}, "fact.awaits_authorization"),
        ({"data": {"a": float("nan")}}, "fact.data"),
        ({"next_action": {"type": "redirect", "url": "javascript:alert(1)"}}, "fact.next_action"),
    ],
)
def test_a_fact_is_looked_into_as_well(values: dict[str, Any], where: str) -> None:
    fact = SessionFact(**{"currency_code": "eur", **values})
    for answer in (
        RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact),
        WebhookResult(event_id="evt", event_type="x", fact=fact),
    ):
        with pytest.raises(UnusableAnswerError) as refusal:
            check_usable(answer)
        assert refusal.value.where == where


@pytest.mark.parametrize(
    "answer",
    [
        AuthorizeResult(
            outcome=Outcome.SUCCEEDED,
            amount=Decimal("10.00"),
            currency_code="eur",
            data=MappingProxyType({"a": [1, None, {"b": "é", "c": Decimal("1.5")}], "at": datetime.now(UTC)}),
            next_action=NextAction(type="challenge"),
            expires_at=datetime.now(UTC),
        ),
        CaptureResult(
            outcome=Outcome.DECLINED,
            failure=Failure(code="declined", message=cast(str, gettext_lazy("Nothing is left."))),
        ),
        CaptureResult(outcome=cast(Outcome, "succeeded"), amount=Decimal("NaN"), currency_code="xxx"),
        RetrieveResult(
            outcome=Outcome.SUCCEEDED,
            fact=SessionFact(
                currency_code="eur",
                status=SessionStatus.AUTHORIZED,
                movements=(movement(), movement(amount=-1)),
            ),
        ),
        ListMethodsResult(outcome=Outcome.SUCCEEDED, methods=(SavedPaymentMethod(id="pm", type="card"),)),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_what_can_be_kept_is_used_whatever_it_says(answer: Any) -> None:
    check_usable(answer)


BAD_URLS = [
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>",
    "//evil.example/",
    "/relative",
    "https://",
    "https:///path",
    "https:example.com",
    "https:\\\\example.com",
    "https://:443/",
    "https://example.com:port/",
    "https://[::1/",
    "https://exa mple.com/",
    "https://example.com/\n",
    " https://example.com/",
    "ftp://example.com/",
    "app://example.com/",
    "",
    5,
    {"a": 1},
    b"https://example.com/",
]


@pytest.mark.parametrize("url", BAD_URLS, ids=repr)
def test_an_action_leads_to_an_absolute_address_or_is_none(url: Any) -> None:
    with pytest.raises(ValueError, match="url"):
        NextAction(type="redirect", url=url)
    with pytest.raises(ValueError, match="url"):
        NextAction(type="challenge", url=url)


@pytest.mark.parametrize("kind", ["popup", "Redirect", "", None, 5, ["redirect"]])
def test_an_action_is_of_a_known_type(kind: Any) -> None:
    with pytest.raises(ValueError, match="type"):
        NextAction(type=kind, url="https://example.com/")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://127.0.0.1:8000/3ds?a=1#b",
        "HTTPS://bank.example/é?q=%20",
        "https://[::1]:8443/",
        "https://user:pass@bank.example/",
    ],
)
def test_any_absolute_web_address_will_do(url: str) -> None:
    assert NextAction(type="redirect", url=url).url == url
