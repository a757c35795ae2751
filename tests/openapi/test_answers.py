"""Every answer is what the document says: of every address, to who may ask, who may not, and in the wrong way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from payments.models import Payment
from payments.testing import Script
from tests.api.client import Visitor
from tests.api.routes import ROUTES, Route, filled, keys_of
from tests.openapi.documents import answer_problems, operation_at, operations

pytestmark = pytest.mark.django_db

KEYS = ("collection", "session", "payment", "reason", "operation", "event", "method")


def found(visitor: Visitor, route: Route, path: str, body: Any = None) -> list[str]:
    """Return what is wrong with the answer to a request."""
    answer = visitor.send(route.method, path, body)
    return answer_problems(route.method, path, answer.status, answer.body)


def test_every_answer_is_as_documented(owner: Visitor, payment: Payment, script: Script) -> None:
    keys = keys_of(payment)
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
        for wrong in ("{", "[]", json.dumps({"nonsense": 1}), json.dumps({"card_number": "1"}), "x" * 70_000):
            yield owner, (path, wrong)
        yield owner, (path, {name: {"deep": [None]} for name in body})
    else:
        yield owner, (f"{path}?cvc=123", None)
        yield owner, (f"{path}?nonsense=1", None)
    yield owner, (path, body)
    yield owner, (path, body)


def test_every_documented_address_is_tried() -> None:
    addresses = [(route.method, filled(route.path, dict.fromkeys(KEYS, "x"))) for route in ROUTES]
    tried = {operation_at(method, path)["operationId"] for method, path in addresses}
    assert tried == {operation["operationId"] for _path, _method, operation in operations()}
