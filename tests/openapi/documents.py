"""Looking things up in the document, and holding answers against it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from docs.openapi.generator import openapi_document

ROOT: Final = "urn:payments"


def document() -> dict[str, Any]:
    """Return the document; it is made once, and nobody may change it."""
    return openapi_document()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the path, the method and the description of everything that can be asked for."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def operation_at(method: str, path: str) -> dict[str, Any]:
    """Return the description of what is asked for at an address below the API's root."""
    for template, known, operation in operations():
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if known == method and re.fullmatch(pattern, f"/{path.partition('?')[0]}"):
            return operation
    raise AssertionError(f"{method} {path} is not in the document")


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return what a node refers to, or itself."""
    reference = node.get("$ref")
    if reference is None:
        return node
    target: Any = document()
    for part in reference.removeprefix("#/").split("/"):
        target = target[part]
    found: dict[str, Any] = target
    return found


def problems(value: Any, schema: dict[str, Any]) -> list[str]:
    """Return what is wrong with a value, where a schema of the document has it otherwise."""
    registry: Registry[Any] = Registry().with_resource(
        ROOT, Resource.from_contents(document(), default_specification=DRAFT202012)
    )
    absolute = _with_absolute_references(schema)
    validator = Draft202012Validator(absolute, registry=registry, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def answer_problems(method: str, path: str, status: int, body: Any) -> list[str]:
    """Return what is wrong with an answer: a status that isn't documented, or a body of another form."""
    responses = operation_at(method, path)["responses"]
    if str(status) not in responses:
        return [f"{method} {path}: {status} is not documented"]
    content = resolved(responses[str(status)]).get("content")
    if content is None:
        return [] if body is None else [f"{method} {path}: there is no body with {status}"]
    (media,) = content.values()
    return problems(body, media["schema"])


def _with_absolute_references(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            name: f"{ROOT}{inner}" if name == "$ref" else _with_absolute_references(inner)
            for name, inner in node.items()
        }
    return [_with_absolute_references(inner) for inner in node] if isinstance(node, list) else node
