"""Every answer is what the document says: of every address, to who may ask, who may not, and in the wrong way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from payments.models import Payment
from payments.testing import Script
from tests.api.client import Visitor
from tests.api.pairs import PAIRS, Pairs
from tests.api.routes import ROUTES, Route, filled, keys_of
from tests.openapi.documents import answer_problems, operation_at, operations

pytestmark = pytest.mark.django_db

WRONG = ("{", "[]", json.dumps({"nonsense": 1}), json.dumps({"card_number": "1"}), "x" * 70_000)
"""What no address takes for a body."""

KEYS = ("collection", "session", "payment", "reason", "operation", "event", "method")


def found(visitor: Visitor, route: Route, path: str, body: Any = None) -> list[str]:
    """Return what is wrong with the answer to a request."""
    answer = visitor.send(route.method, path, body)
    return answer_problems(route.method, path, answer.status, answer.body)


@pytest.mark.parametrize("pairs", PAIRS)
def test_every_answer_is_as_documented(
    owner: Visitor, payment: Payment, script: Script, pairs: Pairs
) -> None:
    keys = keys_of(payment)
    for route, wrong in pairs([route for route in ROUTES if route.body is not None], WRONG):
        assert found(owner, route, filled(route.path, keys), wrong) == [], f"{route}: {wrong}"
    for route in ROUTES:
        path, body = filled(route.path, keys), filled(route.body, keys)
        for visitor, what in _ways(owner, route, path, body):
            assert found(visitor, route, *what) == [], f"{route}: {what}"


def _ways(owner: Visitor, route: Route, path: str, body: Any) -> Iterator[tuple[Visitor, tuple[Any, ...]]]:
    stranger = Visitor()
    yield stranger, (path, body)
    yield Visitor(secret="paycs_wrong"), (path, body)
    nowhere = filled(route.path, dict.fromkeys(KEYS, "x"))
    if nowhere != path:
        yield owner, (nowhere, body)
    if body is not None:
        yield owner, (path, {name: {"deep": [None]} for name in body})
    else:
        yield owner, (f"{path}?cvc=123", None)
        yield owner, (f"{path}?nonsense=1", None)
    yield owner, (path, body)
    yield owner, (path, body)


@pytest.mark.database_independent
def test_every_documented_address_is_tried() -> None:
    addresses = [(route.method, filled(route.path, dict.fromkeys(KEYS, "x"))) for route in ROUTES]
    tried = {operation_at(method, path)["operationId"] for method, path in addresses}
    assert tried == {operation["operationId"] for _path, _method, operation in operations()}
