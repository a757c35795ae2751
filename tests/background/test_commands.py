"""Each command does its job: once or until it is told to stop, saying what it does, over whatever fails."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.db import OperationalError, connection

from payments.models import WebhookEvent
from payments.services.background.jobs import JOBS, Job, Report
from payments.states import WebhookEventStatus
from tests.background.conftest import MakeHints
from tests.races.locks import connection_number, kill_connection
from tests.threads import aside, wait_for

COMMANDS = {
    "payments_inbox": "inbox",
    "payments_reconcile": "reconciler",
    "payments_publish": "outbox",
    "payments_expire": "expiry",
    "payments_notify_due": "installments",
    "payments_charge_due": "charges",
}


def run(command: str, *arguments: str) -> list[str]:
    """Run a command, and return the lines that it wrote."""
    output = StringIO()
    call_command(command, *arguments, stdout=output, stderr=output)
    lines = output.getvalue().splitlines()
    if command in COMMANDS:
        told = f"An older name of `payments_worker {COMMANDS[command]} --once`. Use that instead."
        assert lines.pop(0) == told
    return lines


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Return a function that replaces a job by one with these results, and gives the limits it was run with."""

    def replace(name: str, *results: Any) -> list[int]:
        limits: list[int] = []
        left = list(results)

        def work(limit: int, report: Report) -> int:
            limits.append(limit)
            result = left.pop(0) if left else 0
            if isinstance(result, Exception):
                raise result
            return int(result() if callable(result) else result)

        monkeypatch.setitem(JOBS, name, Job(name=name, run=work))
        return limits

    return replace


def stop() -> int:
    """Send this process SIGTERM, as an operator would, and be done with a batch of one."""
    signal.raise_signal(signal.SIGTERM)
    return 1


@pytest.mark.parametrize(("command", "name"), COMMANDS.items())
def test_each_command_runs_its_job(command: str, name: str, job: Callable[..., list[int]]) -> None:
    limits = job(name, 3)
    assert run(command, "--limit", "7") == [f"{name}: 3", "Done."]
    assert limits == [7]


@pytest.mark.django_db
def test_the_worker_runs_every_job(make_hints: MakeHints) -> None:
    make_hints(2)
    lines = run("payments_worker", "--once")
    assert lines[0] == "inbox: 2"
    assert [line.partition(":")[0] for line in lines[:-1]] == list(JOBS)
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {WebhookEventStatus.APPLIED}


def test_the_worker_runs_the_jobs_that_are_named(job: Callable[..., list[int]]) -> None:
    inbox, outbox, expiry = job("inbox"), job("outbox", 2), job("expiry")
    assert run("payments_worker", "outbox", "inbox", "--once") == ["outbox: 2", "inbox: 0", "Done."]
    assert (len(inbox), len(outbox), len(expiry)) == (1, 1, 0)


@pytest.mark.django_db
def test_progress_is_told_line_by_line(make_hints: MakeHints) -> None:
    first, second = make_hints(2)
    lines = run("payments_inbox", "--once", "-v", "2")
    assert lines == [
        f"  {first.pk} intent.changed: applied",
        f"  {second.pk} intent.changed: applied",
        "inbox: 2",
        "Done.",
    ]


def test_batches_are_worked_off_until_one_is_not_full(job: Callable[..., list[int]]) -> None:
    limits = job("inbox", 5, 5, 2, 99)
    assert run("payments_inbox", "--once", "--limit", "5") == ["inbox: 12", "Done."]
    assert len(limits) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("--limit", "0"),
        ("--limit", "-5"),
        ("--limit", "x"),
        ("--interval", "0"),
        ("--interval", "nan"),
    ],
)
def test_what_cannot_be_asked_for_exits_with_2(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    command = load_command_class("payments", "payments_worker")
    with pytest.raises(SystemExit) as caught:
        command.run_from_argv(["manage.py", "payments_worker", "--once", "--skip-checks", *arguments])
    assert caught.value.code == 2
    assert arguments[0].lstrip("-") in capsys.readouterr().err


@pytest.mark.shows("One job of a worker fails", "the others run; with --once, the command fails at the end")
def test_a_failing_job_keeps_no_other_from_running(
    job: Callable[..., list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    job("inbox", OperationalError("away"))
    outbox = job("outbox", 4)
    with pytest.raises(CommandError, match="inbox"):
        run("payments_worker", "inbox", "outbox", "--once")
    assert len(outbox) == 1
    assert "away" in caplog.text


@pytest.mark.shows("The database is away for a round of a worker", "it goes on with the next round")
def test_a_worker_outlives_a_failing_round(job: Callable[..., list[int]]) -> None:
    limits = job("inbox", OperationalError("away"), OperationalError("away"), stop)
    first, *lines = run("payments_worker", "inbox", "--interval", "0.01")
    assert first.startswith("Running inbox on the database ")
    assert lines == [
        "inbox: failed",
        "inbox: failed",
        "inbox: 1",
        "Stopped.",
    ]
    assert len(limits) == 3


@pytest.mark.shows("A worker's database connection breaks", "the next round has a new one")
@pytest.mark.django_db(transaction=True)
def test_a_worker_outlives_its_connection(job: Callable[..., list[int]]) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite is a file and no server that could hang up; PostgreSQL and MariaDB show this")

    def break_it() -> int:
        number = connection_number()
        aside(lambda: kill_connection(number))
        return WebhookEvent.objects.count()

    def work_and_stop() -> int:
        WebhookEvent.objects.count()
        return stop()

    job("inbox", break_it, work_and_stop)
    lines = run("payments_worker", "inbox", "--interval", "0.01")
    assert lines[1:] == ["inbox: failed", "inbox: 1", "Stopped."]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_batch_in_hand_finish_and_no_other_begin(
    number: signal.Signals, job: Callable[..., list[int]]
) -> None:
    def stop_it() -> int:
        signal.raise_signal(number)
        return 5

    inbox, outbox = job("inbox", stop_it, 5), job("outbox", 5)
    assert run("payments_worker", "inbox", "outbox", "--limit", "5")[1:] == ["inbox: 5", "Stopped."]
    assert (len(inbox), len(outbox)) == (1, 0)


def test_signals_are_given_back_afterwards(job: Callable[..., list[int]]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    job("inbox", OperationalError("away"))
    with pytest.raises(CommandError):
        run("payments_inbox", "--once")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_command_may_be_run_in_a_thread(job: Callable[..., list[int]]) -> None:
    job("inbox", 1)
    lines: list[str] = []
    thread = threading.Thread(target=lambda: lines.extend(run("payments_inbox", "--once")))
    thread.start()
    wait_for([thread])
    assert lines == ["inbox: 1", "Done."]


@pytest.mark.django_db
def test_pruning_says_how_much() -> None:
    assert run("payments_prune") == ["0 events cleared, 0 idempotency records deleted."]
    with pytest.raises(CommandError, match="1 or more"):
        run("payments_prune", "--days", "0")
