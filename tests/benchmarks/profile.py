"""Tells which code takes the processor's time of a flow: `python -m tests.benchmarks.profile [FLOWS]`.

The profiler's clock is the thread's time on the processor, so that waiting for the database doesn't count. Looking at
that clock takes longer than many a function does. What it takes is subtracted from a function's own time, as far as it
can be known, but not from the cumulative shares, which therefore favor what makes many calls. `flow` measures.
"""

from __future__ import annotations

import argparse
import cProfile
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, Final

import django
import psycopg

import payments
from tests.benchmarks import child, reports
from tests.benchmarks.databases import project
from tests.databases import DATABASES

WARM_UP_FLOWS: Final = 10
TOP: Final = 25
OVERHEAD_CALLS: Final = 100_000
ROOMS: Final = {
    "payments": Path(payments.__file__).parent,
    "django.db.models": Path(django.__file__).parent / "db" / "models",
    "django, other": Path(django.__file__).parent,
    "psycopg": Path(psycopg.__file__).parent,
}
"""Where code belongs; the first that fits."""

ORDER: Final = (*ROOMS, "built-in", "other")


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function, and what it took of one flow, without and with what it called."""

    name: str
    room: str
    calls: float
    own_ms: float
    own_share: float
    cumulative_share: float


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """The seconds that the profiler adds to a function, and to the one that calls it, at each call."""

    called: float
    caller: float

    @classmethod
    def measure(cls) -> Overhead:
        """Profile a function that does nothing."""

        def call() -> None:
            for _ in range(OVERHEAD_CALLS):
                nothing()

        def nothing() -> None:
            pass

        profile = cProfile.Profile(time.thread_time)
        profile.runcall(call)
        seconds = {entry.code: entry.inlinetime / OVERHEAD_CALLS for entry in profile.getstats()}
        return cls(called=seconds[nothing.__code__], caller=seconds[call.__code__])

    def own_seconds(self, entry: Any) -> float:
        """Return a function's own time without what the profiler added."""
        calls = sum(each.callcount for each in entry.calls or ())
        return max(0.0, float(entry.inlinetime - self.called * entry.callcount - self.caller * calls))


def main(arguments: Sequence[str]) -> None:
    """Profile flows one after the other, and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("flows", nargs="?", type=int, default=100)
    parser.add_argument("--database", choices=DATABASES, default="postgresql")
    parser.add_argument(
        "--plain", action="store_true", help="have Django prepare no statements on PostgreSQL"
    )
    parser.add_argument("--json", type=Path, metavar="PATH")
    chosen = parser.parse_args(arguments)
    with project(chosen.database, prepared=not chosen.plain):
        functions = profiled(chosen.flows)
    rooms = {room: sum(each.own_share for each in functions if each.room == room) for room in ORDER}
    total, calls = sum(each.own_ms for each in functions), sum(each.calls for each in functions)
    reports.say(f"{calls:,.0f} calls and about {total:.0f} ms on the processor in a flow\n\n")
    reports.say(
        reports.table(["code of", "share"], [(room, f"{share:.1%}") for room, share in rooms.items()])
    )
    tops = {
        "cumulative": _top(functions, lambda each: each.cumulative_share),
        "own": _top(functions, lambda each: each.own_share),
    }
    for order, found in tops.items():
        reports.say(f"\nThe {TOP} largest by {order} time\n\n" + _table(found))
    reports.write_json(
        chosen.json, database=chosen.database, flows=chosen.flows, calls=calls, rooms=rooms, **tops
    )


def profiled(flows: int) -> list[Function]:
    """Return all functions that so many flows called."""
    for _ in range(WARM_UP_FLOWS):
        list(child.own_flow())
    overhead = Overhead.measure()
    profile = cProfile.Profile(time.thread_time)
    with profile:
        for _ in range(flows):
            list(child.own_flow())
    entries = profile.getstats()
    own = [overhead.own_seconds(entry) for entry in entries]
    raw = sum(entry.inlinetime for entry in entries)
    return [
        Function(
            name=_name(entry.code),
            room=_room(entry.code),
            calls=entry.callcount / flows,
            own_ms=1000 * seconds / flows,
            own_share=seconds / sum(own),
            cumulative_share=entry.totaltime / raw,
        )
        for entry, seconds in zip(entries, own, strict=True)
    ]


def _name(code: CodeType | str) -> str:
    """Return where a function is, and its name; a built-in one has only a name."""
    if isinstance(code, str):
        return code
    return f"{_short(Path(code.co_filename))}:{code.co_firstlineno} {code.co_qualname}"


def _room(code: CodeType | str) -> str:
    if isinstance(code, str):
        return "psycopg" if "psycopg" in code else "built-in"
    file = Path(code.co_filename)
    return next((room for room, folder in ROOMS.items() if file.is_relative_to(folder)), "other")


def _short(file: Path) -> str:
    """Return a path from its package on."""
    parts = file.parts
    for name in ("site-packages", f"python{sys.version_info.major}.{sys.version_info.minor}"):
        if name in parts:
            return "/".join(parts[parts.index(name) + 1 :])
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)


def _top(functions: Iterable[Function], key: Callable[[Function], float]) -> list[Function]:
    return sorted(functions, key=key, reverse=True)[:TOP]


def _table(functions: Iterable[Function]) -> str:
    rows = [
        (
            f"{each.cumulative_share:.1%}",
            f"{each.own_share:.1%}",
            f"{each.own_ms:.2f}",
            f"{each.calls:.0f}",
            each.name,
        )
        for each in functions
    ]
    return reports.table(["cumulative", "own", "own ms", "calls", "function"], rows)


if __name__ == "__main__":
    main(sys.argv[1:])
