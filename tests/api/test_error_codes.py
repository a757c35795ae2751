"""Every code that docs/errors.md describes comes out of the API, with the status that the page says."""

from __future__ import annotations

from dataclasses import fields
from operator import itemgetter
from typing import Final

import pytest

from tests.api.pairs import daily
from tests.api.provocations import CASES, World
from tests.docs.codes import rows, uses

pytestmark = pytest.mark.database_independent

BY_PROVIDERS: Final = {(use.code, 402) for use in uses() if use.module.startswith("payments.providers.")} - {
    ("declined", 402)
}
"""What only providers refuse is tried with them; that a refusal keeps its provider's code is tried here."""

ELSEWHERE: Final = {
    ("last_digit_not_zero", 402),  # tests/stripe/test_amounts.py
    ("body_cut_off", 400),  # tests/api/test_abuse_bodies.py
}
DESCRIBED: Final = sorted(
    {(row.code, status) for row in rows() if row.section != "Webhooks" for status in row.statuses}
    - BY_PROVIDERS
    - ELSEWHERE,
    key=itemgetter(1, 0),
)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    return World(**{field.name: request.getfixturevalue(field.name) for field in fields(World)})


@pytest.mark.django_db
@pytest.mark.parametrize(("code", "status"), daily(DESCRIBED))
def test_the_code_comes_out_as_described(world: World, code: str, status: int) -> None:
    answer = CASES[code, status](world)

    assert set(answer.body) == {"type", "code", "message", "errors"}
    assert (answer.status, answer.body["code"]) == (status, code)
    assert ("Retry-After" in answer.headers) == (status in (429, 503) or code == "operation_in_progress")


def test_everything_that_is_described_is_tried_and_nothing_else() -> None:
    assert set(CASES) == set(DESCRIBED), "say in tests/api/provocations.py what is answered with it"
