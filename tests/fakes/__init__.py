"""What the fakes of payment services share: an HTTP server on the loopback address, and ways to misbehave."""

from __future__ import annotations

from tests.fakes.faults import Fault, Plan
from tests.fakes.server import Answer, Json, Received, Server

__all__ = ["Answer", "Fault", "Json", "Plan", "Received", "Server"]
