"""The mutations still fit the code, so that the night's proof doesn't rot by day."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.mutations import MUTATIONS, Mutation, misfits, named_tests

pytestmark = pytest.mark.database_independent

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutation_fits_the_code(mutation: Mutation) -> None:
    assert misfits(mutation) == []


@pytest.mark.parametrize(("path", "function"), named_tests())
def test_named_test_exists(path: str, function: str) -> None:
    assert f"def {function}(" in (ROOT / path).read_text(encoding="utf-8")
