"""`manage.py demo`: prepare a database with a few weeks of business, then serve the shop and the simulator."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from example_project.demo.bills import write_bills
from example_project.demo.catalogue import stock_shelves
from example_project.demo.databases import DemoDatabase, NotTheDemosError
from example_project.demo.people import PEOPLE, invite_people
from example_project.demo.servers import (
    PortInUseError,
    ShopServer,
    Worker,
    let_payers_return_to,
    start_simulator,
)
from example_project.demo.stories import STORIES
from example_project.demo.telling import Telling, announce_some, tell_stories
from payments.models import PaymentCollection
from payments.services import list_providers
from payments.simulator import SimulatorService

PORT: Final = 8000
SIMULATOR_PORT: Final = 8001
TRIED_PORTS: Final = 20
FIRST_TIME: Final = "about ten seconds the first time, longer on a busy machine"


class Command(BaseCommand):
    """Prepare, serve, and end cleanly."""

    help = "Prepare a database with a few weeks of business, then serve the shop, its API and the simulator."
    requires_system_checks = ["payments"]

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        add = parser.add_argument
        add("--port", type=int, help=f"of the shop (default: {PORT}, or the next free one; 0: any free one)")
        add("--simulator-port", type=int, help=f"of the simulator (default: {SIMULATOR_PORT}, likewise)")
        add("--no-serve", action="store_true", help="prepare the database and end")
        add("--no-orders", action="store_true", help="prepare products and users only")
        add("--reset", action="store_true", help="start over; deletes only SQLite files that the demo made")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        started = time.monotonic()
        database = DemoDatabase.of_settings()
        try:
            with ExitStack() as stack:
                self._run(database, options, stack, started)
        except PortInUseError as error:
            name = "--simulator-port" if error.port == options["simulator_port"] else "--port"
            raise CommandError(
                f"{error} Choose another: python manage.py demo {name} {error.port + 10}"
            ) from error
        except NotTheDemosError as error:
            raise CommandError(str(error)) from error

    def _run(self, database: DemoDatabase, options: dict[str, Any], stack: ExitStack, started: float) -> None:
        # The ports come first: nothing is deleted or written for a demo that can't be served.
        server = None if options["no_serve"] else self._bind_shop(options["port"], stack)
        if options["reset"]:
            database.delete()
        is_ledger_new = not database.ledger.exists()
        simulator = self._start_simulator(options, database, stack)
        self._say(f"Preparing the demo: {FIRST_TIME}." if is_ledger_new else "Preparing the demo.")
        self._say(f"  the tables in {database.name}")
        database.prepare()
        telling = self._fill(simulator, options)
        self._sum_up(telling, time.monotonic() - started)
        if is_ledger_new and telling.known:
            self.stderr.write(
                "The simulator's ledger is gone, so it doesn't know the orders that are here. "
                "To start over: python manage.py demo --reset"
            )
        connections.close_all()
        if server is not None:
            self._serve(server, simulator, telling, stack)

    def _bind_shop(self, port: int | None, stack: ExitStack) -> ShopServer:
        server = ShopServer(port) if port is not None else _first_free(PORT, ShopServer)
        stack.callback(server.close)
        if port is None and not server.url.endswith(f":{PORT}"):
            self.stderr.write(f"Port {PORT} is in use, so the shop gets another.")
        let_payers_return_to(server.url)
        return server

    def _start_simulator(
        self, options: dict[str, Any], database: DemoDatabase, stack: ExitStack
    ) -> SimulatorService:
        port = options["simulator_port"]
        if port is None and options["no_serve"]:
            port = 0

        def start(chosen: int) -> SimulatorService:
            return start_simulator(port=chosen, ledger=database.ledger)

        simulator = start(port) if port is not None else _first_free(SIMULATOR_PORT, start)
        stack.callback(simulator.stop)
        if port is None and not simulator.url.endswith(f":{SIMULATOR_PORT}"):
            self.stderr.write(f"Port {SIMULATOR_PORT} is in use, so the simulator gets another.")
        return simulator

    def _fill(self, simulator: SimulatorService, options: dict[str, Any]) -> Telling:
        self._say("  products, users and refund reasons")
        list_providers()
        stock_shelves()
        if settings.DEBUG:
            invite_people()
            write_bills()
        else:
            self.stderr.write("DEBUG is off, so no users with known passwords are made.")
        if options["no_orders"]:
            return Telling()
        self._say(f"  {len(STORIES)} orders; new ones are paid through the simulator on {simulator.url}")
        return tell_stories(simulator)

    def _sum_up(self, telling: Telling, seconds: float) -> None:
        count = PaymentCollection.objects.count()
        self._say(
            f"Prepared in {seconds:.1f} s: {count} payment collections, {len(telling.told)} new orders."
        )
        if telling.broken:
            self.stderr.write(
                f"Interrupted the last time, and left as they are: {', '.join(telling.broken)}. "
                "To start over: python manage.py demo --reset"
            )

    def _serve(
        self, server: ShopServer, simulator: SimulatorService, telling: Telling, stack: ExitStack
    ) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_args: stop.set())
        stack.enter_context(server)
        simulator.settings.webhook_url = f"{server.url}/payments/webhooks/simulator/"
        stack.enter_context(Worker())
        announce_some(simulator, telling)
        self._print_addresses(server.url, simulator.url)
        stop.wait()
        self._say("Stopping.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # so that a pipe shows each step when it begins

    def _print_addresses(self, shop: str, simulator: str) -> None:
        lines = [
            ("Start here", f"{shop}/"),
            ("Shop", f"{shop}/shop/"),
            ("Storefront API", f"{shop}/payments/storefront/payment-providers/"),
            ("Staff API", f"{shop}/payments/staff/payment-collections/"),
            ("Admin", f"{shop}/admin/"),
            ("Simulator", f"{simulator}/"),
        ]
        people = PEOPLE if settings.DEBUG else ()
        logins = [(f"{each.username} / {each.password}", each.role) for each in people]
        for title, table in (("", lines), ("Logins", logins)):
            if title and table:
                self.stdout.write(f"\n{title}")
            for name, text in table:
                self.stdout.write(f"  {name:<16} {text}")
        self._say("\nOne order's bank answers with errors on purpose, so the log mentions unknown outcomes.")
        self._say("This is a demo with known passwords: keep it on this machine. Ctrl-C stops it.")


def _first_free(first: int, start: Any) -> Any:
    """Start something on the first free port from `first` on; raise PortInUseError for the first one if none is."""
    for port in range(first, first + TRIED_PORTS):
        try:
            return start(port)
        except PortInUseError:
            continue
    raise PortInUseError(first)
