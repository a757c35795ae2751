"""The project's own settings change nothing, and nothing of the project's is changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.base import BaseHandler
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from rest_framework.settings import DEFAULTS, api_settings
from rest_framework.views import APIView

from payments.api.views import PaymentsView
from tests.api.client import Visitor
from tests.api.conftest import MakeOrder
from tests.api.routes import ROUTES

HERE = Path(__file__).parent

# One of everything that a global setting could change: parsing, rendering, errors, authentication, permissions,
# throttles, pages, filters, negotiation, a replay. Most of DRF reads its settings on import, so it is another process.
REPRESENTATIVE = (
    "test_abuse_strangers.py",
    "test_main_job.py",
    "storefront/test_access.py::test_a_collection_without_a_customer_is_only_reached_by_its_secret",
    "storefront/test_access.py::test_one_visitor_sees_no_difference_in_the_headers_either",
    "test_bad_input.py::test_a_body_that_is_no_json_object_is_refused",
    "test_bad_input.py::test_a_form_is_not_read",
    "test_bad_input.py::test_options_names_the_methods_and_nothing_more",
    "test_errors.py::test_every_error_is_answered_as_the_table_says",
    "test_idempotency.py::test_a_refund_sent_again_is_answered_again_and_made_once",
    "storefront/test_payables.py",
    "staff/test_access.py::test_a_browser_gets_a_page",
    "staff/test_access.py::test_a_customer_with_a_permission_is_no_operator",
    "staff/test_access.py::test_the_configured_classes_recognize_operators_and_customers",
    "staff/test_lists.py::test_pages_go_through_all_rows_once_and_back",
    "staff/test_lists.py::test_rows_are_found_by_their_time_of_creation_in_any_zone",
    "staff/test_lists.py::test_rows_that_are_equal_are_paged_through_in_every_order_without_a_count",
    "staff/test_lists.py::test_a_parameter_that_is_not_known_or_makes_no_sense_is_refused",
    "staff/test_refund_reasons.py",
)


def views(resolver: Any = None) -> list[Any]:
    """Return every view function of the API."""
    found: list[Any] = []
    for pattern in (resolver or get_resolver("payments.urls")).url_patterns:
        if isinstance(pattern, URLResolver):
            found += views(pattern)
        elif isinstance(pattern, URLPattern):
            found.append(pattern.callback)
    return [view for view in found if hasattr(view, "cls")]


def test_every_view_sets_every_policy_itself() -> None:
    policies = [
        "renderer_classes",
        "parser_classes",
        "permission_classes",
        "throttle_classes",
        "content_negotiation_class",
        "metadata_class",
        "versioning_class",
        "settings",
    ]
    for view in views():
        assert issubclass(view.cls, PaymentsView)
        assert [name for name in policies if getattr(view.cls, name) is getattr(APIView, name, None)] in (
            [],
            ["versioning_class"],  # None is what DRF has too
        )


def _view_of(path: str) -> Any:
    return resolve(f"/payments/{path}").func


def test_every_view_and_method_is_among_the_routes_that_tests_try() -> None:
    found = {(view.cls, method) for view in views() for method in view.cls().allowed_methods}
    tried = {(_view_of(route.path).cls, route.method) for route in ROUTES}

    assert {(view, method) for view, method in found if method != "OPTIONS"} == tried


def test_every_view_is_exempt_from_atomic_requests_on_every_database() -> None:
    for view in views():
        assert view._non_atomic_requests == set(connections)


@pytest.mark.django_db(transaction=True)
def test_the_api_works_under_atomic_requests(make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    def shop_view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert BaseHandler().make_view_atomic(shop_view) is not shop_view
    make_order()
    opened = Visitor().post("storefront/payment-collections/", {"reference": "A-1"})
    guest = Visitor(secret=opened.body["client_secret"])
    session = guest.post(
        f"storefront/payment-collections/{opened.body['id']}/payment-sessions/", {"provider_id": "scripted"}
    )
    authorized = guest.post(f"storefront/payment-sessions/{session.body['id']}/authorize/")

    assert (authorized.status, authorized.body["status"]) == (200, "authorized")


def test_the_projects_drf_settings_are_not_touched() -> None:
    assert DEFAULTS["URL_FORMAT_OVERRIDE"] == api_settings.URL_FORMAT_OVERRIDE
    assert api_settings.EXCEPTION_HANDLER.__module__ == "rest_framework.views"
    defaults: list[Any] = list(api_settings.DEFAULT_PARSER_CLASSES)
    assert list(APIView.parser_classes) == defaults


@pytest.mark.thorough
@pytest.mark.database_independent
def test_the_api_works_in_a_project_whose_drf_settings_are_hostile() -> None:
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider"]
    command += ["--ds", "tests.api.hostile_settings", *(str(HERE / node) for node in REPRESENTATIVE)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    run = subprocess.run(  # noqa: PLW1510 - the assertion below says more
        command, cwd=HERE.parent.parent, env=environment, capture_output=True, text=True, timeout=600
    )

    assert run.returncode == 0, run.stdout[-5000:]
