"""The document is what the code is, is valid, and depends on no project's settings."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from drf_spectacular.management.commands.spectacular import Command
from openapi_spec_validator import validate

from docs.openapi.generator import PaymentsSchemaGenerator
from docs.openapi.inspection import OPERATIONS
from tests.openapi.documents import document, operations, problems, resolved
from tests.programs import SECONDS

pytestmark = pytest.mark.database_independent

ROOT = Path(__file__).parents[2]
GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate_openapi.py"))


def test_the_committed_document_is_what_the_code_says() -> None:
    written = GENERATOR["PAGE"].read_text(encoding="utf-8")
    assert written == GENERATOR["openapi_page"](), f"run: {GENERATOR['COMMAND']}"


def test_the_document_is_valid_and_made_without_a_warning(tmp_path: Path) -> None:
    generator = f"{PaymentsSchemaGenerator.__module__}.{PaymentsSchemaGenerator.__qualname__}"
    written = tmp_path / "openapi.json"

    call_command(
        Command(),
        generator_class=generator,
        validate=True,
        fail_on_warn=True,
        format="openapi-json",
        file=str(written),
    )

    assert json.loads(written.read_text())["openapi"] == "3.1.1"


def test_the_document_is_valid_to_a_validator_of_somebody_elses() -> None:
    validate(json.loads(json.dumps(document())))


def test_the_document_has_everything_under_names_of_its_own() -> None:
    names = [operation["operationId"] for _path, _method, operation in operations()]
    assert len(names) == len(set(names)) == len(OPERATIONS)
    assert {operation["tags"][0] for _path, _method, operation in operations()} == {
        tag["name"] for tag in document()["tags"]
    }
    assert all(
        operation["summary"] and operation["description"] for _path, _method, operation in operations()
    )


def test_every_reference_leads_somewhere_and_every_part_is_referred_to() -> None:
    text = json.dumps(document())
    references = set(_values(document(), "$ref"))
    assert all(resolved({"$ref": reference}) for reference in references)
    for kind in ("schemas", "responses", "headers"):
        for name in document()["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text or name == "MethodNotAllowed", name


def test_every_example_is_one() -> None:
    count = 0
    for where, _method, operation in operations():
        bodies = [operation.get("requestBody", {}), *map(resolved, operation["responses"].values())]
        for content in (media for body in bodies for media in body.get("content", {}).values()):
            for name, example in content.get("examples", {}).items():
                assert problems(example["value"], content["schema"]) == [], f"{where}: {name}"
                count += 1
    assert count > 100


@pytest.mark.parametrize("status", [400, 401, 403, 404, 406, 409, 411, 413, 415, 422, 503])
def test_every_change_says_what_may_go_wrong(status: int) -> None:
    for where, method, operation in operations():
        if method in ("POST", "PUT", "PATCH") and (status != 404 or "{" in where):
            assert str(status) in operation["responses"], f"{method} {where}"


def test_every_list_names_its_parameters() -> None:
    for where, method, operation in operations():
        is_list = method == "GET" and where.startswith("/staff/") and "{" not in where
        if is_list and "payment-providers" not in where:
            names = {parameter["name"] for parameter in operation["parameters"]}
            assert {"q", "order", "cursor", "limit", "created_at_gte"} <= names, where


def test_a_projects_own_settings_change_nothing(settings: Any) -> None:
    before = json.dumps(PaymentsSchemaGenerator().get_schema(), sort_keys=True, default=str)
    settings.SPECTACULAR_SETTINGS = {
        "TITLE": "The shop",
        "CAMELIZE_NAMES": True,
        "COMPONENT_SPLIT_REQUEST": True,
        "OAS_VERSION": "3.0.3",
        "POSTPROCESSING_HOOKS": [],
        "APPEND_PATHS": {"/shop/": {}},
        "SCHEMA_PATH_PREFIX_INSERT": "/shop",
    }
    settings.REST_FRAMEWORK = {"URL_FORMAT_OVERRIDE": "as", "COERCE_DECIMAL_TO_STRING": False}
    settings.LANGUAGE_CODE = "de"
    assert json.dumps(PaymentsSchemaGenerator().get_schema(), sort_keys=True, default=str) == before


@pytest.mark.thorough
def test_the_api_works_without_drf_spectacular_and_opentelemetry() -> None:
    program = (
        "import sys\n"
        "sys.modules['drf_spectacular'] = sys.modules['opentelemetry'] = sys.modules['opentelemetry.trace'] = None\n"
        "import django\n"
        "from django.conf import settings\n"
        "settings.configure(ROOT_URLCONF='payments.urls', INSTALLED_APPS=["
        "'django.contrib.auth', 'django.contrib.contenttypes', 'payments'])\n"
        "django.setup()\n"
        "from django.urls import reverse\n"
        "import payments.urls, payments.providers.calls\n"
        "try:\n"
        "    import payments.api.openapi\n"
        "except ImportError:\n"
        "    print('works without')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert run.stdout == "works without\n", run.stderr


# What holds whatever a provider, a shop or a payer puts there. Everything else has a form.
OPEN_OBJECTS = {"data", "provider_data", "metadata", "context", "input", "exchange", "payload", "fact"}


def test_only_what_may_hold_anything_has_no_form() -> None:
    shapeless = {
        name
        for schema in document()["components"]["schemas"].values()
        for name, inner in schema.get("properties", {}).items()
        if "object" in inner.get("type", ()) and "properties" not in inner
    }
    assert shapeless == OPEN_OBJECTS


def test_a_redirect_has_an_address_and_other_actions_may_have_none() -> None:
    schema = document()["components"]["schemas"]["NextAction"]
    for kind, is_allowed in (("redirect", False), ("challenge", True), ("provider_script", True)):
        assert problems({"type": kind, "url": "https://bank.example/3ds"}, schema) == []
        assert (problems({"type": kind, "url": None}, schema) == []) == is_allowed
    assert problems({"type": "anything", "url": None}, schema) != []


def _values(node: Any, name: str) -> list[Any]:
    if isinstance(node, dict):
        found = [node[name]] if name in node else []
        return found + [value for inner in node.values() for value in _values(inner, name)]
    return [value for inner in node for value in _values(inner, name)] if isinstance(node, list) else []
