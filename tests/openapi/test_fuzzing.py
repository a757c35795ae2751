"""Requests that nobody thought of, made up from the document by Schemathesis: each answer is one that it tells of.

`PAYMENTS_FUZZ_EXAMPLES=500 python -m pytest -m thorough tests/openapi/test_fuzzing.py` tries more of each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from django.contrib.auth import get_user_model
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from payments.conf import DEFAULT_THROTTLES
from payments.testing import running_simulator
from tests.openapi.worlds import World, make_world

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "openapi.yaml"
EXAMPLES: Final = int(os.environ.get("PAYMENTS_FUZZ_EXAMPLES", "12"))
CHECKS: Final[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
TRYING: Final = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
CSRF: Final = "a" * 32

Headers = dict[str, str]


@pytest.fixture
def customer(transactional_db: None) -> Any:
    """Return who the collections are of."""
    return get_user_model().objects.create_user("sam", email="sam@shopper.example")


@pytest.fixture
def address(live_server: Any, settings: Any) -> Iterator[str]:
    """Return where the API is served, with a provider behind it, and nobody slowed down."""
    settings.PAYMENTS = {**settings.PAYMENTS, "THROTTLES": dict.fromkeys(DEFAULT_THROTTLES)}
    with running_simulator():
        yield f"{live_server.url}/payments"


def operations(*kinds: str) -> list[Any]:
    """Return what can be asked for, of these kinds."""
    schema: Any = schemathesis.openapi.from_path(DOCUMENT)
    found = [result.ok() for result in schema.get_all_operations()]
    return [each for each in found if each.path.split("/")[1] in kinds]


@st.composite
def cases(draw: Any, operation: Any, world: World) -> Any:
    """Make up a request, which in half of the cases names what is there."""
    mode = draw(st.sampled_from(list(schemathesis.GenerationMode)))
    case = draw(operation.as_strategy(mode))
    for name in case.path_parameters or {}:
        if name in world.parameters and draw(st.integers(0, 7)):
            case.path_parameters[name] = draw(st.sampled_from(world.parameters[name]))
    if isinstance(case.body, dict):
        for name in case.body:
            if name in world.fields and draw(st.booleans()):
                case.body[name] = draw(st.sampled_from(world.fields[name]))
    return case


def problems(address: str, customer: Any, who: Any, *kinds: str) -> list[str]:
    """Try each operation against rows of its own, as who asks; return which answers aren't as documented, and how."""
    found = []
    for operation in operations(*kinds):
        world = make_world(customer)
        try:
            _try(operation, world, address, who(world))
        except FailureGroup as failures:
            found += [f"{operation.label}: {failure}" for failure in failures.exceptions]
    return found


def _try(operation: Any, world: World, address: str, headers: Headers) -> None:
    @TRYING
    @given(case=cases(operation, world))
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=address, headers=headers, checks=CHECKS)

    ask()


def logged_in(user: Any) -> Headers:
    """Return the headers of a user's browser."""
    client = Client()
    client.force_login(user)
    cookie = f"sessionid={client.cookies['sessionid'].value}; csrftoken={CSRF}"
    return {"Cookie": cookie, "X-CSRFToken": CSRF}


@pytest.mark.shows(
    "Requests made up from the OpenAPI document, valid ones and others, about real rows: by a guest, a customer, an "
    "operator who may do everything",
    "No 5xx, and no status, media type, header or body that the document doesn't tell of",
)
@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_a_guest_gets_only_answers_that_the_document_tells_of(address: str, customer: Any) -> None:
    assert (
        problems(address, customer, lambda world: {"Payment-Client-Secret": world.secret}, "storefront") == []
    )


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_a_customer_gets_only_answers_that_the_document_tells_of(address: str, customer: Any) -> None:
    headers = logged_in(customer)
    assert problems(address, customer, lambda world: headers, "storefront") == []


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_an_operator_gets_only_answers_that_the_document_tells_of(address: str, customer: Any) -> None:
    headers = logged_in(get_user_model().objects.create_superuser("boss"))
    assert problems(address, customer, lambda world: headers, "staff", "health", "metrics") == []
