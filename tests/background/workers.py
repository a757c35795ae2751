"""Workers: real processes with the test's database and providers, and a Celery app that needs none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    with _process("-m", "django", *arguments) as process:
        yield process


@contextmanager
def celery_worker(broker: str, queue: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run Celery's worker and its scheduler inside the block; all of their processes are killed afterwards."""
    options = [
        "--beat",
        "--schedule",
        str(folder / "schedule"),
        "--concurrency",
        "2",
        "--loglevel",
        "WARNING",
    ]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = ["-m", "celery", "-A", "tests.background.celery_app", "worker", *options, *quiet]
    with _process(*command, PAYMENTS_TEST_BROKER=broker, PAYMENTS_TEST_QUEUE=queue) as process:
        yield process


@contextmanager
def _process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | _environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill(process)
        process.communicate(timeout=PATIENCE)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and its children, which get no chance to finish anything."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


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
