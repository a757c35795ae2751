"""Every error code in the source, found without running it; and every one on docs/errors.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.core.validators import BaseValidator
from rest_framework import exceptions, serializers

from payments.api.serializers import InputSerializer

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "errors.md"

# Services of their own, what only tests use, and what answers with pages.
NOT_THE_APIS: Final = frozenset({"simulator", "testing", "admin", "migrations"})

# Where a code is put together, or comes from another module, what comes of it.
COMPOSED: Final = {
    "f'invalid_{field}'": ("invalid_cursor", "invalid_limit", "invalid_order"),
    "f'refund_{reason}'[:64]": ("refund_…",),
    "ACCOUNT_DELETED": ("account_deleted",),
}

# Where a code is handed on that was found where it was made, or is a provider's own.
HANDED_ON: Final = frozenset(
    {
        "code",
        "error.code",
        "failure.code",
        "failure.code[:64]",
        "failure.code if failure else None",
        "issue.lower()[:MAX_CODE]",
        "operation.error_code or None",
        "problem['code']",
        "refusal.code",
        "self.code",
        "str(code)",
        "str(reason)",
        "(movement.failure or FAILED).code[:64]",
        "AttentionReason(entry['code'])",
        "CORRECTED.code",
        "NOT_DONE.code",
        "NOT_SENT.code",
    }
)

# What answers with a code as a plain argument, and helpers that raise for their callers.
ANSWERING: Final = frozenset({"_answer", "_error"})
RAISING: Final = {"Limit": "LimitError"}

# What DRF raises by itself, or Django's errors are turned into.
FRAMEWORK: Final = (
    exceptions.APIException,
    exceptions.NotAuthenticated,
    exceptions.AuthenticationFailed,
    exceptions.PermissionDenied,
    exceptions.NotFound,
    exceptions.MethodNotAllowed,
    exceptions.NotAcceptable,
    exceptions.UnsupportedMediaType,
    exceptions.Throttled,
)


@dataclass(frozen=True, kw_only=True)
class Use:
    """Say where a code is used, and what is called with it: an error class, mostly."""

    code: str
    called: str
    module: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """Hold one row of the page: a code, and what the other columns say."""

    section: str
    code: str
    columns: tuple[str, ...]

    @property
    def statuses(self) -> tuple[int, ...]:
        """The HTTP statuses that the code comes with, if the row is of an answer."""
        first = self.columns[0]
        return tuple(map(int, first.split(", "))) if re.fullmatch(r"\d{3}(, \d{3})*", first) else ()


@cache
def rows() -> list[Row]:
    """Return every row of the page that is about a code."""
    found = []
    section = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif match := re.fullmatch(r"\| `([a-z_…]+)` \| (.*) \|", line):
            found.append(Row(section=section, code=match[1], columns=tuple(match[2].split(" | "))))
    return found


@cache
def uses() -> list[Use]:
    """Return every use of a code in the source. Raises LookupError for one that can't be read there."""
    return [use for path in _modules() for use in _uses_in(path)]


def codes_of_input() -> set[str]:
    """Return the codes that the fields of what the API reads have by themselves, as DRF made them."""
    return {code for serializer in _inputs() for field in serializer().fields.values() for code in _of(field)}


def codes_of_frameworks() -> set[str]:
    """Return the codes of DRF's own errors."""
    return {error.default_code for error in FRAMEWORK}


def _modules() -> Iterator[Path]:
    for path in sorted((ROOT / "payments").rglob("*.py")):
        if path.relative_to(ROOT / "payments").parts[0] not in NOT_THE_APIS:
            yield path


def _uses_in(path: Path) -> Iterator[Use]:
    module = ast.parse(path.read_text(encoding="utf-8"))
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    constants = {
        target: value for target, value in _assignments(module.body) if isinstance(value, ast.Constant)
    }
    for node in ast.walk(module):
        for called, value in _named(node):
            for code in _read(value, constants, f"{path}:{value.lineno}"):
                yield Use(code=code, called=called, module=name)


def _named(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield every expression that is a code, with what is called with it, or the class that has it."""
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func).rpartition(".")[2]
        yield from (
            (RAISING.get(called, called), keyword.value) for keyword in node.keywords if keyword.arg == "code"
        )
        if called in ANSWERING:
            yield from (
                (called, each) for each in node.args if isinstance(each, ast.Constant) and _is_text(each)
            )
    elif isinstance(node, ast.ClassDef):
        for target, value in _assignments(node.body):
            if target in ("default_code", "code") and value is not None:
                yield node.name, value
            elif target == "default_error_messages" and isinstance(value, ast.Dict):
                yield from (("ValidationError", key) for key in value.keys if key is not None)


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr | None]]:
    for statement in body:
        if isinstance(statement, ast.Assign):
            yield ast.unparse(statement.targets[0]), statement.value
        elif isinstance(statement, ast.AnnAssign):
            yield ast.unparse(statement.target), statement.value


def _is_text(value: ast.Constant) -> bool:
    return isinstance(value.value, str)


def _read(value: ast.expr, constants: dict[str, Any], where: str) -> tuple[str, ...]:
    written = ast.unparse(value)
    if isinstance(value, ast.Constant):
        return (str(value.value),)
    if written in constants:
        return (str(constants[written].value),)
    if written in HANDED_ON or written.startswith("AttentionReason."):
        return ()
    if written not in COMPOSED:
        raise LookupError(f"{where}: what code is {written}? Name it in {Path(__file__).name}.")
    return COMPOSED[written]


def _inputs() -> Iterator[type[InputSerializer]]:
    waiting = [InputSerializer]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind.__module__.startswith("payments."):
                yield kind
                waiting.append(kind)


def _of(field: serializers.Field[Any, Any, Any, Any]) -> Iterator[str]:
    """Yield the codes with which a field may refuse a value."""
    known = {
        "required": field.required,
        "null": not field.allow_null,
        "blank": not getattr(field, "allow_blank", True),
    }
    yield from (code for code, is_possible in known.items() if is_possible)
    if isinstance(field, serializers.CharField):
        yield "invalid"
    for validator in field.validators:
        if isinstance(validator, BaseValidator) or hasattr(validator, "code"):
            yield str(validator.code)
