"""Every transition from every status: those that are meant to be, and no other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import models
from django_fsm import TransitionNotAllowed

from payments.models import Payment, PaymentCollection, PaymentSession
from tests.states.graphs import GRAPHS, Graph, arguments

pytestmark = pytest.mark.database_independent


PAIRS = [
    pytest.param(graph, status, name, id=f"{graph.model.__name__}-{status}-{name}")
    for graph in GRAPHS
    for status in graph.statuses.values
    for name in graph.edges
]


def _row(graph: Graph, status: str | None = None) -> Any:
    """Build an unsaved row in a status, under rows that aren't saved either."""
    collection = PaymentCollection(amount=Decimal(100), currency_code="eur")
    session = PaymentSession(collection=collection, amount=Decimal(100))
    payment = Payment(collection=collection, session=session, amount=Decimal(100))
    above = {"collection": collection, "session": session, "payment": payment, "amount": Decimal(100)}
    names = {field.name for field in graph.model._meta.get_fields()}
    values: dict[str, Any] = {name: row for name, row in above.items() if name in names}
    # What a person has booked, a person may correct.
    values |= {"is_by_person": True} if "is_by_person" in names else {}
    values |= {"resolution_reason": "Seen."} if "resolution_reason" in names else {}
    if status is not None:
        values["status"] = status
    return graph.model(**values)


def _state(row: models.Model) -> dict[str, Any]:
    return {field.attname: row.__dict__[field.attname] for field in row._meta.concrete_fields}


@pytest.mark.parametrize(("graph", "status", "name"), PAIRS)
def test_transition_leads_where_the_graph_says_or_is_refused(graph: Graph, status: str, name: str) -> None:
    row = _row(graph, status)
    before = _state(row)
    target, sources = graph.edges[name]
    call = getattr(row, name)
    if status in sources:
        call(**arguments(graph, name))
        assert row.status == target
    else:
        with pytest.raises(TransitionNotAllowed):
            call(**arguments(graph, name))
        assert _state(row) == before


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.model.__name__)
def test_model_has_no_transition_beyond_the_graph(graph: Graph) -> None:
    field = graph.model._meta.get_field("status")
    declared = {transition.name for transition in field.get_all_transitions(graph.model)}  # type: ignore[union-attr]
    assert declared == set(graph.edges)


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.model.__name__)
def test_new_row_has_the_first_status(graph: Graph) -> None:
    assert _row(graph).status == graph.initial


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.model.__name__)
def test_status_cannot_be_assigned(graph: Graph) -> None:
    row = _row(graph, graph.initial)
    for status in {*graph.statuses.values, "hacked", None} - {graph.initial}:
        with pytest.raises(AttributeError, match="status"):
            row.status = status
    row.status = graph.initial  # as full_clean() does, which changes nothing
    assert row.status == graph.initial
