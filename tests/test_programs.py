"""A program that tests start: where it is missing the test is skipped, except in CI."""

from __future__ import annotations

import pytest

from tests.programs import program

pytestmark = pytest.mark.database_independent

MISSING = "a-program-that-nobody-has"


def test_a_missing_program_skips_the_test_at_the_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=MISSING):
        program(MISSING)


def test_a_missing_program_fails_the_test_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=MISSING):
        program(MISSING)


def test_a_program_that_is_there_is_found() -> None:
    assert program("sh").endswith("/sh")
