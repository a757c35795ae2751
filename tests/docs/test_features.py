"""docs/providers/README.md says what the providers declare, and each of them has a page."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from payments.providers import BaseProvider

DOCS = Path(__file__).parents[2] / "docs"
GENERATOR = runpy.run_path(str(DOCS / "generate_features.py"))

pytestmark = pytest.mark.database_independent


def test_the_page_is_what_the_providers_declare() -> None:
    page = (DOCS / "providers" / "README.md").read_text(encoding="utf-8")
    assert page == GENERATOR["features_page"](), f"Run {GENERATOR['COMMAND']}."


def test_every_capability_has_words() -> None:
    capabilities = {name for name in vars(BaseProvider) if name.startswith("supports_")}
    assert set(GENERATOR["CAPABILITIES"]) == capabilities


def test_every_provider_has_a_page() -> None:
    pages = {path.stem for path in (DOCS / "providers").glob("*.md")} - {"README"}
    assert pages == set(GENERATOR["_provider_classes"]())
