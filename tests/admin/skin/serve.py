"""Serves an admin under django-unfold, with a row of every kind: `python -m tests.admin.skin.serve FOLDER`.

A process of its own, for a skin replaces the admin's site in the whole process. It prints in one line of JSON where its
pages are, and ends when its input does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

from tests import settings as stock
from tests.admin.answers import CARD
from tests.databases import settings_for_tests


def configure(folder: Path) -> None:
    """Set up the project: the test suite's own, with the skin and a database in a folder."""
    inherited: dict[str, Any] = {name: value for name, value in vars(stock).items() if name.isupper()}
    chosen = {
        "ALLOWED_HOSTS": ["127.0.0.1"],
        "DATABASES": {"default": settings_for_tests(f"sqlite:///{folder / 'skin.sqlite3'}")},
        "INSTALLED_APPS": ["unfold", *stock.INSTALLED_APPS, "tests.admin.skin"],
        "MIGRATION_MODULES": dict.fromkeys(("admin", "auth", "contenttypes", "payments", "sessions", "shop")),
        "ROOT_URLCONF": "tests.admin.skin.urls",
        "PAYMENTS": {
            "PROVIDERS": {
                "system": {"BACKEND": "payments.providers.system.SystemProvider"},
                "card": CARD,
            },
            "ALLOW_PRETEND_MONEY": True,
        },
    }
    settings.configure(**inherited | chosen)
    django.setup()


def serve() -> None:
    """Check the project, make its rows, and serve its pages until the input ends."""
    # What needs models can't be imported before `configure`.
    from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: PLC0415
    from django.test.testcases import LiveServerThread  # noqa: PLC0415

    from payments.testing import scripted_provider  # noqa: PLC0415
    from tests.admin.skin.rows import make_pages  # noqa: PLC0415

    call_command("check", fail_level="WARNING", stdout=sys.stderr)
    call_command("migrate", run_syncdb=True, verbosity=0)
    with scripted_provider():
        pages = make_pages()
        server = LiveServerThread("127.0.0.1", StaticFilesHandler)
        server.daemon = True
        server.start()
        server.is_ready.wait()
        if server.error:
            raise server.error
        print(json.dumps({"url": f"http://127.0.0.1:{server.port}", "pages": pages}), flush=True)  # noqa: T201
        sys.stdin.read()
        server.terminate()


if __name__ == "__main__":
    configure(Path(sys.argv[1]))
    serve()
