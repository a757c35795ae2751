"""The benchmarks run, write what they found, and compare with a floor that does the same work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tests.benchmarks import http, workers
from tests.benchmarks.child import VERBS, Answer, Lane
from tests.benchmarks.databases import TABLES, own_database
from tests.benchmarks.flow import ROOT, Child, Concurrency, Side, prepare
from tests.benchmarks.reports import Result
from tests.databases import database_url

pytestmark = pytest.mark.database_independent

FEW: Final = ("--flows", "4", "--rounds", "2", "--warm-up", "1")


def run(name: str, *arguments: str | Path) -> str:
    """Run a benchmark, and return what it prints."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(path: Path) -> dict[str, Any]:
    """Return what a benchmark has written."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.thorough
def test_flow_measures_a_thread_and_processes_with_threads(tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    printed = run("flow", "--database", "sqlite", *FEW, "--concurrency", "1", "2x2", "--json", path)
    found = read(path)
    assert found["database"].startswith("SQLite ")
    assert [(each["side"], each["concurrency"]) for each in found["results"]] == [
        ("ours", "1"),
        ("ours", "2x2"),
    ]
    for result in found["results"]:
        assert result["flows"] == 4
        assert result["errors"] == {}
        assert result["flow_p95"] >= result["flow_p50"] > 0
        assert tuple(result["verbs_p50"]) == VERBS
        assert result["cpu_per_flow"] > 0
        assert result["over_floor"] is None
    assert "| ours | 2x2 |" in printed


@pytest.mark.thorough
def test_statements_are_printed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "statements.json"
    printed = run("statements", "--database", "sqlite", "--json", path)
    found = read(path)
    assert tuple(verb["name"] for verb in found["verbs"]) == VERBS
    for verb in found["verbs"]:
        assert sum(verb["counts"].values()) == len(verb["statements"]) > 0
        assert f"\n{verb['name']}: {len(verb['statements'])}\n" in printed
    assert found["flow"]["INSERT"] >= 10
    assert "COMMIT" not in printed


def test_side_is_a_checkout_that_may_be_plain() -> None:
    assert Side.parse(f"before={ROOT}") == Side(name="before", checkout=ROOT)
    assert Side.parse(f"before={ROOT},plain") == Side(name="before", checkout=ROOT, is_plain=True)
    for text in (f"before={ROOT},fast", f"ours={ROOT}", "before=/nowhere"):
        with pytest.raises(ValueError, match=text):
            Side.parse(text)


@pytest.mark.thorough
def test_workers_are_compared_with_one(tmp_path: Path) -> None:
    path = tmp_path / "workers.json"
    chosen = ("--payments", "100", "--due", "20", "30", "--rows", "10", "--rounds", "1")
    run("workers", *chosen, "--json", path)
    results = read(path)["results"]
    assert [(each["job"], each["due"], each["workers"]) for each in results] == [
        (job, due, number) for job in workers.JOBS for due in (20, 30) for number in workers.WORKERS
    ]
    assert all(each["rows_per_second"] > 0 for each in results)
    assert {each["over_one"] for each in results if each["workers"] == 1} == {1}
    assert all(20 < each["peak_mib"] < 150 for each in results)


@pytest.mark.thorough
def test_burst_is_absorbed(tmp_path: Path) -> None:
    path = tmp_path / "burst.json"
    printed = run("burst", "--payments", "100", "--events", "40", "--concurrency", "2", "--json", path)
    found = read(path)
    assert [(each["name"], each["events"]) for each in found["phases"]] == [("idle", 38), ("burst", 40)]
    assert [each["refused"] for each in found["phases"]] == [0, 0]
    assert found["ratio"] > 0
    assert "times the idle value" in printed


@pytest.mark.parametrize("text", ["", "0", "x4", "2x", "2x0", "four", "1.5"])
def test_concurrency_is_a_number_or_processes_by_threads(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        Concurrency.parse(text)


def test_flows_are_shared_among_processes_without_a_rest() -> None:
    assert Concurrency.parse("3x2").share(8) == [3, 3, 2]


def test_errors_of_a_busy_database_are_counted() -> None:
    lane = Lane(
        seconds=1.0,
        flows=[],
        errors=["OperationalError: database is locked", "ValueError: 1", "ValueError: 1"],
    )
    rounds = [[Answer(cpu_seconds=0.5, lanes=[lane])]]
    result = Result.of("ours", "1", rounds, [])
    assert result.errors == {"OperationalError: database is locked": 1, "ValueError: 1": 2}
    assert result.busy_errors == 1


@pytest.mark.thorough
def test_flow_compares_with_the_floor_and_another_checkout_on_postgresql(tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    run("flow", *FEW, "--concurrency", "2", "--rows", "20", "--beside", f"other={ROOT}", "--json", path)
    results = {each["side"]: each for each in read(path)["results"]}
    assert list(results) == ["ours", "floor", "other"]
    assert [each["flows"] for each in results.values()] == [4, 4, 4]
    assert not any(each["errors"] for each in results.values())
    assert results["floor"]["over_floor"] == 1
    assert 0 < results["ours"]["over_floor"] < 1


USED_ELSEWHERE: Final = {
    "payments_accountholder_customer_id_b018937f": "the customer's accounts, when a user is deleted or erased",
    "payments_evt_actor_idx": "a user is deleted or erased",
    "payments_op_actor_idx": "a user is deleted",
    "payments_op_request_key_idx": "a request with an Idempotency-Key is repeated",
    "payments_op_resolved_by_idx": "a user is deleted",
    "payments_pay_status_idx": "payments of a rare status; of few rows the newest are looked through instead",
    "payments_wh_uncleared_idx": "what is to be pruned; few rows are found by their status as well",
    "payments_payment_provider_id_b15a014f": "payments of a rare provider",
    "payments_paymentoperation_provider_id_d9913e38": "operations of a rare provider",
    "payments_paymentsession_provider_id_2815de86": "sessions of a rare provider",
    "payments_webhookevent_provider_id_6e3d6398": "webhook events of a rare provider",
    "payments_accountholder_provider_id_b1f2ffbb": "account holders of a rare provider",
    "payments_refund_reason_id_01208762": "a refund reason is deleted",
    "payments_refundreason_label_41633a29_like": "Django's own",
}
"""The indexes that serve what is done now and then, and not measured."""


@pytest.mark.thorough
def test_growth_measures_everything_and_every_index_serves_something(tmp_path: Path) -> None:
    path = tmp_path / "growth.json"
    printed = run("growth", "--payments", "1000", "--seeks", "--json", path)
    found = read(path)["sizes"]["1000"]
    assert len(found["figures"]) > 100
    assert all(figure["milliseconds"] > 0 for figure in found["figures"])
    assert 0 < found["indexes"] < found["bytes_each"]
    assert "bytes a payment" in printed
    assert set(found["unused"]) <= set(USED_ELSEWHERE)


@pytest.mark.thorough
@pytest.mark.parametrize("runner", ["wsgi", "asgi"])
def test_flow_over_http_is_compared_with_bare_views(tmp_path: Path, runner: str) -> None:
    path = tmp_path / "http.json"
    chosen = ("--runner", runner, "--concurrency", "2", "--flows", "4", "--rounds", "2")
    printed = run("http", *chosen, "--json", path)
    results = {each["side"]: each for each in read(path)["results"]}
    assert list(results) == ["ours", "bare"]
    for result in results.values():
        assert result["flows"] == 4
        assert result["errors"] == {}
        assert tuple(result["verbs_p50"]) == http.VERBS
        assert result["cpu_per_flow"] > 0
    assert results["bare"]["over_floor"] == 1
    assert "÷ bare" in printed


@pytest.mark.thorough
def test_profile_tells_whose_code_takes_the_time(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    run("profile", "3", "--json", path)
    found = read(path)
    assert set(found["rooms"]) >= {"payments", "django.db.models", "psycopg", "built-in"}
    assert sum(found["rooms"].values()) == pytest.approx(1)
    assert len(found["own"]) == len(found["cumulative"]) == 25


@pytest.mark.thorough
@pytest.mark.django_db
def test_floor_leaves_the_rows_that_the_services_leave() -> None:
    with database_url("postgresql") as server:
        ours, floor = (rows_after_one_flow(server, kind) for kind in ("ours", "floor"))
    assert floor == ours


def rows_after_one_flow(server: str, kind: str) -> dict[str, Counter[tuple[object, ...]]]:
    """Return how often each kind, status and amounts are in each table, and each type among the published events."""
    side = Side(name=kind, checkout=ROOT, kind=kind)
    with own_database(server, kind) as url:
        prepare(side, url)
        child = Child(side, url)
        child.order(flows=1)
        answer = child.answer()
        child.end()
        assert answer.lanes[0].errors == []
        with psycopg.connect(url) as connection:
            return {table: Counter(map(facts, rows(connection, table))) for table in TABLES}


def rows(connection: psycopg.Connection, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table, which is one that we name."""
    found = connection.execute(f"SELECT to_jsonb(found) FROM {table} AS found").fetchall()  # noqa: S608
    return [row for (row,) in found]


def facts(row: dict[str, Any]) -> tuple[object, ...]:
    """Return what the floor must write as the services do; of an event, only which it is and that it is published."""
    if "type" in row:
        return row["type"], row["published_at"] is not None
    return tuple(row[name] for name in sorted(row) if name in {"kind", "status"} or name.endswith("amount"))
