"""A project's own document, made by drf-spectacular as the project configures it, has our addresses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.core.management import call_command
from django.test import Client
from django.urls import include, path
from django.utils import translation
from drf_spectacular.management.commands.spectacular import Command
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.views import SpectacularJSONAPIView
from openapi_spec_validator import validate
from rest_framework import serializers
from rest_framework.generics import ListCreateAPIView

from payments.api.openapi import PaymentsSchema
from payments.models import Payment
from tests.openapi.documents import operations

pytestmark = pytest.mark.database_independent

ROOT = Path(__file__).parents[2]
PAYMENTS = path("pay/", include("payments.urls"))


class DocumentView(SpectacularJSONAPIView):
    """The document, in which it is none of the addresses itself."""

    schema = None


DOCUMENT = path("pay/openapi.json", DocumentView.as_view())


class PaymentSerializer(serializers.ModelSerializer[Payment]):
    """What a shop might call its own."""

    class Meta:
        model = Payment
        fields = ["id", "status", "provider"]


class ErrorSerializer(serializers.Serializer[Any]):
    """What a shop might call its own."""

    type = serializers.ChoiceField(choices=["mild", "bad"])


class OwnView(ListCreateAPIView[Any]):
    """A view of the shop's, whose names are those of some of ours."""

    schema = AutoSchema()
    queryset = Payment.objects.all()
    serializer_class: type[serializers.Serializer[Any]] = PaymentSerializer


class ErrorsView(OwnView):
    """Another one."""

    serializer_class = ErrorSerializer


urlpatterns = [
    path("shop/", include([PAYMENTS])),
    path("payments/", OwnView.as_view()),
    path("errors/", ErrorsView.as_view()),
]


def written(tmp_path: Path, **its_settings: Any) -> Any:
    """Return the project's document, made as `manage.py spectacular --validate --fail-on-warn` makes it."""
    file = tmp_path / "openapi.json"
    call_command(
        Command(),
        urlconf=__name__,
        validate=True,
        fail_on_warn=True,
        format="openapi-json",
        custom_settings=its_settings_module(its_settings),
        file=str(file),
    )
    return json.loads(file.read_text())


def its_settings_module(its_settings: dict[str, Any]) -> str:
    """Return where the command finds these settings."""
    globals()["ITS_SETTINGS"] = its_settings
    return f"{__name__}.ITS_SETTINGS"


@pytest.mark.parametrize(
    ("version", "is_split"),
    [("3.0.3", True), pytest.param("3.1.1", False, marks=pytest.mark.thorough)],
)
def test_document_of_a_project_is_valid_and_made_without_a_warning(
    tmp_path: Path, version: str, is_split: bool
) -> None:
    document = written(tmp_path, OAS_VERSION=version, COMPONENT_SPLIT_REQUEST=is_split)

    validate(document)
    assert document["openapi"] == version
    ours = {where.removeprefix("/shop/pay") for where in document["paths"] if "/pay/" in where}
    assert ours == {where for where, _method, _operation in operations()}


def test_addresses_have_the_answers_and_parameters_of_our_own_document(tmp_path: Path) -> None:
    document = written(tmp_path)

    for where, method, operation in operations():
        its = document["paths"][f"/shop/pay{where}"][method.lower()]
        assert its["responses"].keys() == operation["responses"].keys(), where
        assert sorted(names(its)) == sorted(names(operation)), where
        assert ("requestBody" in its) == ("requestBody" in operation), where


def names(operation: dict[str, Any]) -> list[str]:
    """Return the names of an operation's parameters."""
    return [parameter["name"] for parameter in operation.get("parameters", [])]


def test_components_are_named_so_that_none_is_taken_for_the_projects(tmp_path: Path) -> None:
    schemas = written(tmp_path)["components"]["schemas"]

    assert {name for name in schemas if not name.startswith(PaymentsSchema.prefix)} <= {
        "Error",
        "Payment",
        "TypeEnum",
        "ErrorTypeEnum",
        "StatusEnum",
        "PaymentStatusEnum",
    }
    assert {"PaymentsError", "PaymentsStaffPayment", "PaymentsStorefrontSession"} <= schemas.keys()


@pytest.mark.parametrize(
    ("patterns", "root"),
    [
        ([PAYMENTS, DOCUMENT], "/pay/"),
        ([path("api/", include(([PAYMENTS, DOCUMENT], "outer")))], "/api/pay/"),
        (i18n_patterns(PAYMENTS, DOCUMENT), "/de/pay/"),
    ],
    ids=["plain", "below a namespace", "in i18n_patterns"],
)
def test_document_is_served_with_the_projects_addresses(
    settings: Any, patterns: list[Any], root: str
) -> None:
    module = ModuleType("urls")
    module.urlpatterns = patterns  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = module

    with translation.override("de"):  # which the request leaves behind
        document = Client(headers={"Accept-Language": "de"}).get(f"{root}openapi.json").json()

    assert set(document["paths"]) == {
        f"{root}{where.removeprefix('/')}" for where, _method, _operation in operations()
    }


def test_document_that_is_not_public_has_what_its_reader_may_ask_for(settings: Any) -> None:
    module = ModuleType("urls")
    module.urlpatterns = [PAYMENTS, path("openapi.json", DocumentView.as_view(serve_public=False))]  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = module

    with translation.override("en"):
        paths = Client().get("/openapi.json").json()["paths"]

    assert "/pay/storefront/payment-collections/" in paths
    assert not [where for where in paths if "/staff/" in where or "saved-payment-methods" in where]


@pytest.mark.thorough
@pytest.mark.parametrize(("its_apps", "count"), [("'drf_spectacular',", "39"), ("", "0")])
def test_addresses_are_there_where_the_project_has_drf_spectacular(its_apps: str, count: str) -> None:
    program = (
        "import django\n"
        "from django.conf import settings\n"
        "settings.configure(ROOT_URLCONF='payments.urls', INSTALLED_APPS=["
        f"'django.contrib.auth', 'django.contrib.contenttypes', {its_apps} 'payments'])\n"
        "django.setup()\n"
        "from drf_spectacular.generators import SchemaGenerator\n"
        "print(len(SchemaGenerator().get_schema(public=True)['paths']))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.stdout == f"{count}\n", run.stderr
    assert run.stderr == ""
