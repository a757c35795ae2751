"""PgBouncer between a shop and its database."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

from tests.embedded_postgresql import UNPRIVILEGED_USER, EmbeddedPostgreSQL, unprivileged

PATIENCE: Final = 20.0
CONFIGURATION: Final = """
[databases]
* = host={host} user=postgres
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = {folder}
auth_type = any
admin_users = postgres
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 1000
server_login_retry = 1
"""


def find_pgbouncer() -> str | None:
    """Return where PgBouncer is, or None."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")


class Pooler:
    """A PgBouncer that lends its few connections for one transaction at a time, on a Unix socket in a folder."""

    def __init__(
        self, program: str, server: EmbeddedPostgreSQL, *, size: int = 20, mode: str = "transaction"
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="payments-pooler-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, UNPRIVILEGED_USER)
        self._size, self._mode = size, mode
        self._write(server)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-q", str(self._configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **unprivileged(),
            )
        self._wait()

    @property
    def url(self) -> str:
        """The pooler's address, without a database's name."""
        return f"postgresql://postgres@{quote(str(self.folder), safe='')}/"

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def point_at(self, server: EmbeddedPostgreSQL) -> None:
        """Send everybody to another server from now on."""
        self._write(server)
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it, and drop its connections."""
        self._process.terminate()
        self._process.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, server: EmbeddedPostgreSQL) -> None:
        text = CONFIGURATION.format(host=server.folder, folder=self.folder, mode=self._mode, size=self._size)
        self._configuration.write_text(text, encoding="utf-8")

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(f"{self.url}pgbouncer", autocommit=True).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PgBouncer did not start:\n{self._log.read_text()}") from error
                time.sleep(0.05)
            else:
                return

    @property
    def _configuration(self) -> Path:
        return self.folder / "pgbouncer.ini"

    @property
    def _log(self) -> Path:
        return self.folder / "pgbouncer.log"
