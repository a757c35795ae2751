"""Workers: real processes with the test's database and providers, and a Celery app that needs none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery
from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90
"""How long a process may take, in seconds."""


@contextmanager
def worker(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a management command as a process inside the block; what is left of it afterwards is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "django", *arguments],
        cwd=ROOT,
        env=os.environ | _environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def output_of(process: subprocess.Popen[str]) -> list[str]:
    """Wait for a process to end, and return the lines that it wrote."""
    output, _none = process.communicate(timeout=PATIENCE)
    return output.splitlines()


@contextmanager
def celery_shop() -> Iterator[Celery]:
    """Give a shop's Celery app, which runs tasks where they are sent."""
    with Celery("shop", broker="memory://", set_as_current=True) as app:
        app.conf.update(task_always_eager=True, task_eager_propagates=True)
        yield app


def _environment() -> dict[str, str]:
    database = {
        name: connection.settings_dict[name]
        for name in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    }
    providers: dict[str, Any] = {"simulator": settings.PAYMENTS["PROVIDERS"]["simulator"]}
    given = {"database": database | {"NAME": str(database["NAME"])}, "providers": providers}
    return {
        "DJANGO_SETTINGS_MODULE": "tests.background.settings",
        "PAYMENTS_TEST_WORKER": json.dumps(given),
        "PYTHONUNBUFFERED": "",
    }
