"""A fake's HTTP server: the simulator's, which knows nothing of payments, on the loopback address."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from payments.simulator import server

Json = dict[str, Any]

Received = server.Request


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer; a status of 0 stands for silence, `announced` for more bytes than come."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    announced: int | None = None

    def sent(self) -> server.Answer:
        """Return what goes over the wire."""
        if self.status == 0:
            return server.Answer(delivery=server.Delivery.HANG)
        announced = {} if self.announced is None else {"Content-Length": str(self.announced)}
        return server.Answer(
            status=self.status,
            body=json.dumps(self.body).encode() if self.raw is None else self.raw,
            headers={"Connection": "close", **announced, **self.headers},
        )


class Server(server.Server):
    """A server on a free port."""

    def __init__(self, answer: Callable[[Received], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), lambda request: answer(request).sent(), threading.Event())

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self.server_port}"
