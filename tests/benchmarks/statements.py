"""Prints the SQL of each verb, in order: `python -m tests.benchmarks.statements [--database NAME] [-v]`.

The first flow of a process also reads what is kept afterwards, such as the provider's row, so it is a later one that
is looked at. What begins and ends transactions is left out.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext

from tests.benchmarks import child, reports
from tests.benchmarks.databases import project
from tests.databases import DATABASES

FLOWS_BEFORE: Final = 2
WIDTH: Final = 160
KINDS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "other")
TRANSACTION: Final = re.compile(r"(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b")


@dataclass(frozen=True, kw_only=True)
class Verb:
    """The statements of one verb."""

    name: str
    statements: list[str]
    counts: dict[str, int]


def main(arguments: Sequence[str]) -> None:
    """Print the statements of one flow, and count them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--database", choices=DATABASES, default="postgresql")
    parser.add_argument("-v", "--verbose", action="store_true", help="print statements whole")
    parser.add_argument("--json", type=Path, metavar="PATH")
    chosen = parser.parse_args(arguments)
    with project(chosen.database, prepared=False) as connection:
        for _ in range(FLOWS_BEFORE):
            list(child.own_flow())
        verbs = list(capture(connection))
    for verb in verbs:
        reports.say(f"\n{verb.name}: {len(verb.statements)}\n")
        for number, statement in enumerate(verb.statements, 1):
            reports.say(f"{number:4} {statement if chosen.verbose else shortened(statement)}\n")
    total = sum((Counter(verb.counts) for verb in verbs), Counter[str]())
    rows = [(verb.name, verb.counts) for verb in verbs] + [("flow", dict(total))]
    cells = [[name, sum(counts.values()), *(counts.get(kind, 0) for kind in KINDS)] for name, counts in rows]
    reports.say("\n" + reports.table(["verb", "all", *KINDS], cells))
    reports.write_json(chosen.json, database=chosen.database, verbs=verbs, flow=total)


def capture(connection: BaseDatabaseWrapper) -> Iterator[Verb]:
    """Make one flow, and yield each verb with what it sent."""
    flow = child.own_flow()
    for name in child.VERBS:
        with CaptureQueriesContext(connection) as queries:
            assert next(flow) == name
        statements = [query["sql"] for query in queries.captured_queries]
        kept = [statement for statement in statements if not TRANSACTION.match(statement)]
        yield Verb(name=name, statements=kept, counts=dict(Counter(map(_kind, kept))))


def shortened(statement: str) -> str:
    """Return a statement in one line, with the columns counted, the ids left out and the rest cut off."""
    line = " ".join(statement.split())
    selected = re.match(r"SELECT (.*?) FROM ", line)
    if selected and "," in selected[1]:
        line = line.replace(selected[1], f"[{selected[1].count(',') + 1} columns]", 1)
    line = re.sub(r"\b([a-z_]+_)[0-9A-Z]{26}\b", r"\1…", line.replace('"', "").replace("`", ""))
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def _kind(statement: str) -> str:
    word = statement.split(None, 1)[0].upper()
    return word if word in KINDS else "other"


if __name__ == "__main__":
    main(sys.argv[1:])
