"""Measures flows from collection to refund: `python -m tests.benchmarks.flow [--database NAME] [--beside NAME=PATH]`.

The sides are this checkout (`ours`), on PostgreSQL the floor of bare SQL (`floor`), and other checkouts of the project.
Each has a database and processes of its own. They take turns in short slices, so that whatever else the machine does
meets all of them alike: trust the ratios, not the absolute figures. `--concurrency 1 8 2x4` measures one thread, eight
threads, and two processes with four threads each. A side that is `plain` has no prepared statements.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import django

from tests.benchmarks import child, reports
from tests.benchmarks.child import Answer, Lane
from tests.benchmarks.databases import analyze, copy_rows, durability, own_database
from tests.databases import DATABASES, database_url

ROOT: Final = Path(__file__).resolve().parents[2]
SEED_FLOWS: Final = 10
"""How many flows fill a PostgreSQL database with the rows that are then copied."""

WARM_UP_FLOWS: Final = 10
"""How many flows a thread makes before it is measured: statements are prepared and planned by then."""

PATIENCE: Final = 20.0
"""How many seconds a process may take to end when it has no more orders."""


@dataclass(frozen=True, kw_only=True)
class Concurrency:
    """So many processes with so many threads each."""

    processes: int
    threads: int

    @classmethod
    def parse(cls, text: str) -> Concurrency:
        """Return what `8` or `2x4` means; raise ValueError for anything else."""
        found = re.fullmatch(r"(?:([1-9]\d?)x)?([1-9]\d?)", text)
        if found is None:
            raise ValueError(text)
        return cls(processes=int(found[1] or 1), threads=int(found[2]))

    def __str__(self) -> str:
        return f"{self.processes}x{self.threads}" if self.processes > 1 else str(self.threads)

    @property
    def lanes(self) -> int:
        """How many flows are under way at once."""
        return self.processes * self.threads

    def share(self, flows: int) -> list[int]:
        """Divide flows among the processes."""
        each, more = divmod(flows, self.processes)
        return [each + (place < more) for place in range(self.processes)]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of those that are compared."""

    name: str
    checkout: Path
    kind: str = "ours"
    is_plain: bool = False

    @classmethod
    def parse(cls, text: str) -> Side:
        """Return the side that `NAME=PATH` or `NAME=PATH,plain` means; raise ValueError for anything else."""
        name, _, place = text.partition("=")
        path, _, manner = place.partition(",")
        checkout = Path(path).resolve()
        is_name = re.fullmatch("[a-z][a-z0-9_]*", name) and name not in {"ours", "floor"}
        if not is_name or manner not in {"", "plain"} or not (checkout / "payments").is_dir():
            raise ValueError(text)
        return cls(name=name, checkout=checkout, is_plain=manner == "plain")


class Child:
    """A process that makes flows of one side, or migrates its database."""

    def __init__(self, side: Side, url: str, *options: str, kind: str | None = None) -> None:
        path = os.pathsep.join(filter(None, [str(side.checkout), os.environ.get("PYTHONPATH")]))
        self._name = side.name
        self._process = subprocess.Popen(
            [sys.executable, "-P", child.__file__, kind or side.kind, url, *options],
            cwd=side.checkout,
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt at the keyboard is for the run, which then ends its processes
        )
        package = Path(self._read()["package"])
        assert package.is_relative_to(side.checkout), f"{side.name} measures {package}"

    def order(self, **order: float) -> None:
        """Tell the process to make so many `flows`, or flows for so many `seconds`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Answer:
        """Wait until it has done so."""
        read = self._read()
        lanes = [Lane(**lane) for lane in read["lanes"]]
        return Answer(cpu_seconds=read["cpu_seconds"], lanes=lanes)

    def end(self) -> None:
        """Let the process end, or make it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.end()
            raise RuntimeError(f"The process of {self._name} has ended with {self._process.returncode}.")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True, kw_only=True)
class Team:
    """All processes of one side at one concurrency."""

    children: Sequence[Child]
    concurrency: Concurrency

    def make(self, *, flows: int | None = None, seconds: float = 0.0) -> list[Answer]:
        """Make so many flows, or flows for so many seconds, and return what each process answered."""
        shares = self.concurrency.share(flows or 0)
        for each, share in zip(self.children, shares, strict=True):
            each.order(**({"seconds": seconds} if flows is None else {"flows": share}))
        return [each.answer() for each in self.children]


@contextmanager
def team(side: Side, url: str, concurrency: Concurrency, *, is_plain: bool = False) -> Iterator[Team]:
    """Start the processes of a side, and end them."""
    options = ["--threads", str(concurrency.threads), *(["--plain"] if is_plain else [])]
    with ExitStack() as stack:
        children = []
        for _ in range(concurrency.processes):
            children.append(Child(side, url, *options))
            stack.callback(children[-1].end)
        yield Team(children=children, concurrency=concurrency)


def prepare(side: Side, url: str, *, rows: int = 0) -> None:
    """Migrate a side's database and, with `rows`, fill it with what so many flows leave."""
    Child(side, url, kind="migrate").end()
    if rows:
        with team(side, url, Concurrency(processes=1, threads=1)) as one:
            one.make(flows=SEED_FLOWS)
        copy_rows(url, rows // SEED_FLOWS)


def main(arguments: Sequence[str]) -> None:
    """Measure all sides at every concurrency, and report."""
    chosen = _arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that databases are dropped
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    sides = _sides(chosen)
    is_prepared = _is_on_postgresql(chosen) and not chosen.plain
    with ExitStack() as stack:
        server = stack.enter_context(database_url(chosen.database))
        urls = {side.name: stack.enter_context(own_database(server, side.name)) for side in sides}
        for side in sides:
            prepare(side, urls[side.name], rows=chosen.rows if _is_on_postgresql(chosen) else 0)
        described = durability(urls["ours"])
        reports.say(f"{described}{', prepared statements' if is_prepared else ''}\n\n")
        results = [
            result
            for concurrency in chosen.concurrency
            for result in _measure(sides, urls, concurrency, chosen)
        ]
    reports.say(reports.results_table(results) + reports.errors_text(results))
    reports.write_json(
        chosen.json, database=described, prepared=is_prepared, rounds=chosen.rounds, results=results
    )


def _sides(chosen: argparse.Namespace) -> list[Side]:
    """Return our side, the floor where there is one, and those that were asked for."""
    floor = [Side(name="floor", checkout=ROOT, kind="floor")] if _is_on_postgresql(chosen) else []
    return [Side(name="ours", checkout=ROOT), *floor, *chosen.beside]


def _is_on_postgresql(chosen: argparse.Namespace) -> bool:
    return bool(chosen.database == "postgresql")


def _measure(
    sides: Sequence[Side], urls: Mapping[str, str], concurrency: Concurrency, chosen: argparse.Namespace
) -> list[reports.Result]:
    """Have the sides take turns, once around in each round."""
    with ExitStack() as stack:
        teams = {
            side.name: stack.enter_context(
                team(side, urls[side.name], concurrency, is_plain=chosen.plain or side.is_plain)
            )
            for side in sides
        }
        for name, each in teams.items():
            if _is_on_postgresql(chosen):
                analyze(urls[name])
            each.make(flows=chosen.warm_up * concurrency.lanes)
        rounds: dict[str, list[list[Answer]]] = {name: [] for name in teams}
        for number in range(chosen.rounds):
            for name, each in teams.items():
                rounds[name].append(each.make(flows=_part(chosen, number), seconds=chosen.slice))
    floor = rounds.get("floor", [])
    return [reports.Result.of(name, str(concurrency), rounds[name], floor) for name in rounds]


def _part(chosen: argparse.Namespace, number: int) -> int | None:
    """Return how many of all flows a round makes, or None where seconds are counted."""
    if chosen.flows is None:
        return None
    each, more = divmod(chosen.flows, chosen.rounds)
    return int(each + (number < more))


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--database", choices=DATABASES, default="postgresql")
    parser.add_argument("--beside", type=Side.parse, action="append", default=[], metavar="NAME=PATH[,plain]")
    parser.add_argument("--concurrency", type=Concurrency.parse, nargs="+", default=[Concurrency.parse("1")])
    parser.add_argument("--rounds", type=int, default=20, help="how often each side has its turn")
    parser.add_argument("--slice", type=float, default=0.5, help="how many seconds a turn takes")
    parser.add_argument("--flows", type=int, help="how many flows each side makes in all, instead of --slice")
    parser.add_argument(
        "--warm-up", type=int, default=WARM_UP_FLOWS, help="flows per thread that don't count"
    )
    parser.add_argument(
        "--rows", type=int, default=1_000, help="flows of which PostgreSQL has rows beforehand"
    )
    parser.add_argument(
        "--plain", action="store_true", help="have Django prepare no statements on PostgreSQL"
    )
    parser.add_argument("--json", type=Path, metavar="PATH")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
