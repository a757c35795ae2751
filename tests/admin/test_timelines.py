"""The timeline tells every change in words, and what a provider was asked and answered."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeGuard

import pytest
from django.test import Client

from payments import services
from payments.admin.timelines import SENTENCES
from payments.models import PaymentEvent, PaymentOperation
from tests.admin.conftest import Viewer
from tests.admin.pages import html, page, panel
from tests.admin.scenes import make_attention, make_authorized, make_collection

EVENT_TYPE: Final = re.compile(
    r"(collection|customer|session|payment|capture|refund|operation|webhook|fact)\.[a-z_]+"
)

PUT_TOGETHER: Final = {"f'payment.{what}'": ("payment.charged_back", "payment.reinstated")}


def test_every_type_of_event_that_services_write_has_a_sentence() -> None:
    written = set(_event_types())
    assert len(written) >= 27
    assert written - set(SENTENCES) == set()
    assert set(SENTENCES) - written == set()


@pytest.mark.django_db
@pytest.mark.database_independent
def test_answer_of_a_provider_is_told_with_the_question(operator: Client) -> None:
    operation = make_attention()
    shown = panel(html(operator, page(operation.collection)), "history")
    key = operation.pk
    assert f"was asked: Capture, 55.00 EUR, with the idempotency key {key}." in shown
    assert '"amount": 5400' in shown


@pytest.mark.django_db
@pytest.mark.database_independent
def test_answers_are_for_those_who_may_view_operations(viewer: Viewer) -> None:
    collection = make_attention().collection
    client = viewer("view_paymentcollection", "view_paymentevent")
    shown = panel(html(client, page(collection)), "history")
    assert "Operation needs attention" in shown
    assert "was asked: Capture" not in shown
    assert '"amount"' not in shown


@pytest.mark.django_db
@pytest.mark.database_independent
def test_operation_that_kept_no_answer_says_so(operator: Client) -> None:
    payment = make_authorized(make_collection("10.00"))
    assert PaymentOperation.objects.filter(provider_log={}).exists()
    assert "No answer was kept." in panel(html(operator, page(payment.collection)), "history")


@pytest.mark.django_db
@pytest.mark.database_independent
def test_type_that_is_not_known_is_shown_as_it_is(operator: Client) -> None:
    collection = make_collection("10.00")
    PaymentEvent.objects.create(type="plugin.barked", collection=collection, source="system")
    assert "plugin.barked" in panel(html(operator, page(collection)), "history")


def _event_types() -> Iterator[str]:
    """Yield the types in the services' code; `PUT_TOGETHER` knows those that aren't written as one word."""
    for path in Path(services.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and EVENT_TYPE.fullmatch(str(node.value)):
                yield str(node.value)
            elif _notes_what_is_put_together(node):
                yield from PUT_TOGETHER[ast.unparse(node.args[0])]


def _notes_what_is_put_together(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("books.note")
        and isinstance(node.args[0], ast.JoinedStr)
    )
