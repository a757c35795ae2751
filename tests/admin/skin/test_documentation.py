"""What docs/admin.md has a project write for django-unfold is what the project of these tests has written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.packaging.repository import ROOT

pytestmark = pytest.mark.database_independent


def test_documented_registration_is_the_one_that_is_tested() -> None:
    documented = re.findall(
        r"^```python\n(.+?)^```$",
        (ROOT / "docs/admin.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    [registration] = [block for block in documented if "unfold" in block]
    tested = Path(__file__).with_name("admin.py").read_text(encoding="utf-8")
    assert registration in tested
