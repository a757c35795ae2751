"""What the fakes of payment services share: an HTTP server on the loopback address, routes, and ways to misbehave."""

from __future__ import annotations

from tests.fakes.server import Answer, Json, Received
from tests.fakes.service import USELESS, Fault, Handler, Route, Service, Stored

__all__ = ["USELESS", "Answer", "Fault", "Handler", "Json", "Received", "Route", "Service", "Stored"]
