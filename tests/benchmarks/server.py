"""One side of a run over HTTP: gunicorn, with two processes, serves a project's addresses or the bare ones.

It is started by its path, with the checkout that it measures first in PYTHONPATH, and ends when its input does. That
checkout may be older than these benchmarks, so nothing of `tests.benchmarks` is imported here but `child`, and the bare
views, which are always our own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from typing import Any, Final

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from tests.benchmarks import child

ORDERS: Final = 30_000
WORKERS: Final = 2
THREADS: Final = 4
RUNNERS: Final = {"wsgi": "gthread", "asgi": "asgi"}


class Site(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The project behind gunicorn."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn."""
        options = {
            "bind": f"127.0.0.1:{self._arguments.port}",
            "workers": WORKERS,
            "threads": THREADS,
            "worker_class": RUNNERS[self._arguments.runner],
            "keepalive": 75,
            "loglevel": "warning",
            "when_ready": lambda _server: say(pid=os.getpid()),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the application; it is loaded in each worker, so that none shares a connection."""
        set_up(self._arguments)
        if self._arguments.runner == "asgi":
            from django.core.asgi import get_asgi_application  # noqa: PLC0415 - one of the two is wanted

            return get_asgi_application()
        from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - one of the two is wanted

        return get_wsgi_application()


def set_up(arguments: argparse.Namespace) -> None:
    """Set Django up for a side."""
    from django.conf import settings  # noqa: PLC0415 - child sets the settings up

    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "FLOOR_URL": arguments.url}
    settings.ROOT_URLCONF = "tests.benchmarks.bare" if arguments.side == "bare" else "tests.urls"
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    # Under ASGI, each request has a thread of its own, which would keep a connection that nobody uses again.
    child.set_up(arguments.url, prepared=True, keeps=arguments.runner == "wsgi")


def fill(orders: int = ORDERS) -> str:
    """Create the tables, the orders to be paid and an operator, and return the key of the operator's session."""
    from django.conf import settings  # noqa: PLC0415 - models can be imported after the set-up only
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    from tests.shop.models import Order  # noqa: PLC0415

    child.migrate()
    rows = [
        Order(number=str(number), total=child.AMOUNT, currency_code=child.CURRENCY)
        for number in range(orders)
    ]
    Order.objects.bulk_create(rows, batch_size=1000)
    operator = Client()
    operator.force_login(User.objects.create_superuser("operator"))
    return operator.cookies[settings.SESSION_COOKIE_NAME].value


def say(**found: object) -> None:
    """Tell the run."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Fill the database, or serve until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("order", choices=["fill", "serve"])
    parser.add_argument("side", choices=["ours", "bare"])
    parser.add_argument("url")
    parser.add_argument("--runner", choices=RUNNERS, default="wsgi")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.order == "fill":
        set_up(arguments)
        say(session=fill())
        return
    threading.Thread(target=_end_with_the_input, args=[os.getpid()], daemon=True).start()
    Site(arguments).run()


def _end_with_the_input(pid: int) -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    main()
