"""Run the simulator: `python -m payments.simulator`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from payments.simulator.runtime import DEFAULT_API_KEY, DEFAULT_WEBHOOK_SECRET
from payments.simulator.service import SimulatorService


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="python -m payments.simulator", description="A pretend payment service."
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8001, help="port to listen on (default: %(default)s; 0: any free one)")
    add("--ledger", default="simulator.sqlite3", help="its database, or :memory: (default: %(default)s)")
    add("--api-key", default=DEFAULT_API_KEY, help="the key that merchants send (default: %(default)s)")
    add("--webhook-url", help="where signed events are posted (default: nowhere)")
    add("--webhook-secret", action="append", help="signs events; several while rotating")
    add("--public-url", help="the address that browsers see, if another")
    add(
        "--allowed-host",
        action="append",
        help="a name under which it is asked, such as that of its container",
    )
    add(
        "--merchant", default="Your shop", help="the shop's name on the challenge page (default: %(default)s)"
    )
    add(
        "--async-delay",
        type=float,
        default=5.0,
        help="seconds until pending things settle (default: %(default)s)",
    )
    add(
        "--webhook-senders",
        type=int,
        default=1,
        help="how many events are posted at once, in no order if several (default: %(default)s)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted."""
    options = build_parser().parse_args(arguments)
    service = SimulatorService(
        host=options.host,
        port=options.port,
        ledger=options.ledger,
        api_key=options.api_key,
        webhook_url=options.webhook_url,
        webhook_secret=options.webhook_secret or DEFAULT_WEBHOOK_SECRET,
        public_url=options.public_url,
        allowed_hosts=tuple(options.allowed_host or ()),
        merchant=options.merchant,
        async_delay=options.async_delay,
        webhook_senders=options.webhook_senders,
    )
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with service:
        sys.stdout.write(f"Payment simulator: {service.url}/  (ledger {options.ledger}; Ctrl-C stops it)\n")
        sys.stdout.flush()
        done.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
