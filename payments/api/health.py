"""Whether the app is well: for everybody in one word, for operators and monitoring systems in figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.utils.crypto import constant_time_compare
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from payments.api.parsers import JSONRenderer
from payments.api.staff.views import StaffPermission
from payments.api.views import PaymentsView, authenticators
from payments.conf import metrics_token, staff_authentication_classes
from payments.services.background.metrics import Figures, ask_database, current_figures
from payments.states import EventSource

PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
PERMISSION: Final = "view_paymentoperation"

_FIGURES: Final = (
    (
        "oldest_unresolved_operation_seconds",
        "Since when it is not known whether a call to the provider moved money.",
    ),
    ("inbox_lag_seconds", "How long a webhook event has been due."),
    ("outbox_lag_seconds", "How long an event waits to be told."),
    ("attention_count", "Operations that wait for a person."),
    ("failed_event_count", "Webhook events that were given up."),
)


class MonitoringSystem(AnonymousUser):
    """The sender of the token that the settings name, who may read figures and nothing else."""


class MetricsTokenAuthentication(BaseAuthentication):
    """The bearer token of `PAYMENTS["METRICS_TOKEN"]`; any other is left to the other classes."""

    def authenticate(self, request: Request) -> tuple[MonitoringSystem, None] | None:
        """Return the monitoring system, or None."""
        token = metrics_token()
        if not token or not constant_time_compare(
            get_authorization_header(request), f"Bearer {token}".encode()
        ):
            return None
        return MonitoringSystem(), None


class FiguresPermission(StaffPermission):
    """A permission for the monitoring system, and for operators who may see operations."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the figures may be shown."""
        return isinstance(request.user, MonitoringSystem) or super().has_permission(request, view)


class FiguresView(PaymentsView):
    """A view for operators and the monitoring system, in one format, whatever is asked for."""

    source = EventSource.STAFF
    permissions = {"GET": PERMISSION}

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return what recognizes the monitoring system, then what recognizes operators."""
        return [MetricsTokenAuthentication(), *authenticators(staff_authentication_classes())]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Return JSON, also for a prober that asks for something else."""
        return JSONRenderer(), JSONRenderer.media_type


class HealthView(FiguresView):
    """The health of the app, in one word or in figures."""

    def get(self, request: Request) -> Response:
        """Answer `ok` where requests can be served, else 503; and who may see them gets the figures."""
        ask_database()
        if not FiguresPermission().has_permission(request, self):
            return Response({"status": "ok"})
        return Response({"status": "ok", "figures": asdict(current_figures())})


class MetricsView(FiguresView):
    """The figures, as Prometheus reads them."""

    permission_classes = (FiguresPermission,)

    def get(self, request: Request) -> HttpResponse:
        """Answer with the figures in Prometheus' text format."""
        return HttpResponse("".join(_lines(current_figures())), content_type=PROMETHEUS)


def _lines(figures: Figures) -> Iterator[str]:
    """Yield the figures as gauges (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
    for name, help_text in _FIGURES:
        yield f"# HELP payments_{name} {help_text}\n# TYPE payments_{name} gauge\n"
        value = getattr(figures, name)
        if isinstance(value, int | float):
            yield f"payments_{name} {value}\n"
        else:
            yield from (
                f'payments_{name}{{provider="{_escaped(label)}"}} {age}\n' for label, age in value.items()
            )


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
