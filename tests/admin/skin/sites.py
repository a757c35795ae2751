"""The served admin as its tests see it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.packaging.repository import ROOT
from tests.programs import killed_if_late


@dataclass(frozen=True, kw_only=True)
class Site:
    """Say where a server is, and where on it its pages are, by name."""

    url: str
    pages: dict[str, str]

    def page(self, name: str) -> str:
        """Return the whole address of a page."""
        return self.url + self.pages[name]


@contextmanager
def served_site(folder: Path) -> Iterator[Site]:
    """Serve the admin under its skin while the block lasts; what the server logs is kept in the folder."""
    log = folder / "server.log"
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.admin.skin.serve", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as server,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        with server.stdin:
            with killed_if_late(server):
                told = server.stdout.readline()
            assert told, log.read_text(encoding="utf-8")
            yield Site(**json.loads(told))
