"""What shops and third parties import stays where it is: no name of public_names.txt goes unseen, and none comes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import pytest

import payments

pytestmark = pytest.mark.database_independent

LIST: Final = Path(__file__).with_name("public_names.txt")
MODULES: Final = (
    "payments.exceptions",
    "payments.providers",
    "payments.providers.account_holders",
    "payments.providers.base",
    "payments.providers.facts",
    "payments.providers.paypal",
    "payments.providers.requests",
    "payments.providers.results",
    "payments.providers.simulator",
    "payments.providers.stripe",
    "payments.providers.system",
    "payments.services",
    "payments.signals",
    "payments.states",
    "payments.testing",
)
"""The documented modules."""


def test_public_names_are_those_of_the_list() -> None:
    listed = LIST.read_text(encoding="utf-8").split()
    names = [f"{module}.{name}" for module in MODULES for name in sorted(_names_of(import_module(module)))]
    hint = f"A public name has come or gone. If that is meant, edit {LIST.name} and tell it in CHANGELOG.md."

    assert names == listed, hint


def _names_of(module: Any) -> Iterator[str]:
    """Yield what a module exports, or else what is defined in it."""
    if hasattr(module, "__all__"):
        yield from module.__all__
        return
    for name, value in vars(module).items():
        is_own = getattr(value, "__module__", module.__name__) == module.__name__
        is_constant = name.isupper() or type(value).__module__ == module.__name__
        is_type_variable = isinstance(value, TypeVar | ParamSpec)
        if not name.startswith("_") and not is_type_variable and is_own and (callable(value) or is_constant):
            yield name


def test_private_names_stay_in_their_file() -> None:
    root = Path(payments.__file__).parent
    crossing = [
        f"{path.relative_to(root)}: {alias.name}"
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("payments")
        for alias in node.names
        if alias.name.startswith("_")
    ]

    assert crossing == []
