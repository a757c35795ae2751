"""What the fakes of payment services share: an HTTP server on the loopback address, routes, and ways to misbehave."""

from __future__ import annotations

from tests.fakes.faults import USELESS, Fault
from tests.fakes.routes import Handler, Route
from tests.fakes.server import Answer, Json, Received
from tests.fakes.service import Service, Stored

__all__ = ["USELESS", "Answer", "Fault", "Handler", "Json", "Received", "Route", "Service", "Stored"]
