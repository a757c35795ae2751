"""How many files have to be read to follow one deed; `python -m tests.walks --files` names them."""

from __future__ import annotations

from typing import Final

import pytest

from tests.walks import WALKS, walked

LIMITS: Final = {"verb": 18, "http": 25, "admin": 24, "webhook": 14}
"""Files above the ground. What raises one of these has made the house harder to read."""


@pytest.mark.database_independent
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", WALKS)
def test_deed_is_told_in_few_files(name: str) -> None:
    files = walked(name).files

    assert len(files) <= LIMITS[name], files
