"""What is made of measurements: the figures of one side, tables, and a JSON file."""

from __future__ import annotations

import json
import platform
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import django

from tests.benchmarks.child import VERBS, Answer, Lane

BUSY = ("locked", "busy", "deadlock", "lock wait timeout")


@dataclass(frozen=True, kw_only=True)
class Result:
    """The figures of one side at one concurrency; milliseconds, unless a name says otherwise."""

    side: str
    concurrency: str
    flows: int
    flows_per_second: float
    over_floor: float | None
    over_floor_quartiles: tuple[float, float] | None
    flow_p50: float
    flow_p95: float
    verbs_p50: dict[str, float]
    cpu_per_flow: float
    errors: dict[str, int]
    busy_errors: int

    @classmethod
    def of(
        cls,
        side: str,
        concurrency: str,
        rounds: Sequence[Sequence[Answer]],
        floor: Sequence[Sequence[Answer]],
        *,
        verbs: Sequence[str] = VERBS,
    ) -> Result:
        """Return the figures of what a side's processes answered in each round, compared with the floor's."""
        answers = [answer for answers in rounds for answer in answers]
        flows = [flow for answer in answers for lane in answer.lanes for flow in lane.flows]
        totals = [sum(flow) for flow in flows]
        errors = Counter(error for answer in answers for lane in answer.lanes for error in lane.errors)
        cpu = sum(answer.cpu_seconds for answer in answers)
        return cls(
            side=side,
            concurrency=concurrency,
            flows=len(flows),
            flows_per_second=_total_rate(rounds),
            over_floor=_total_rate(rounds) / _total_rate(floor) if floor and _total_rate(floor) else None,
            over_floor_quartiles=_quartiles(rounds, floor),
            flow_p50=1000 * quantile(totals, 0.5),
            flow_p95=1000 * quantile(totals, 0.95),
            verbs_p50={
                verb: 1000 * quantile([flow[place] for flow in flows], 0.5)
                for place, verb in enumerate(verbs)
            },
            cpu_per_flow=1000 * cpu / len(flows) if flows else 0.0,
            errors=dict(errors),
            busy_errors=sum(count for error, count in errors.items() if _is_busy(error)),
        )


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values doesn't exceed, or zero where there are none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


def _rate(answers: Sequence[Answer]) -> float:
    """Return the flows per second in one round; each thread counts with its own time, so none waits for the last."""
    return sum(len(lane.flows) / lane.seconds for lane in _lanes(answers))


def _total_rate(rounds: Sequence[Sequence[Answer]]) -> float:
    """Return the flows per second in all rounds."""
    lanes_of_threads: Iterable[tuple[Lane, ...]] = zip(*(_lanes(answers) for answers in rounds), strict=True)
    return sum(
        sum(len(lane.flows) for lane in lanes) / sum(lane.seconds for lane in lanes)
        for lanes in lanes_of_threads
    )


def _quartiles(
    rounds: Sequence[Sequence[Answer]], floor: Sequence[Sequence[Answer]]
) -> tuple[float, float] | None:
    """Return between what the middle half of the rounds' ratios lies, or None with less than two of them."""
    pairs = zip(map(_rate, rounds), map(_rate, floor), strict=False)
    ratios = [ours / theirs for ours, theirs in pairs if theirs]
    if len(ratios) < 2:
        return None
    first, _median, third = statistics.quantiles(ratios, n=4)
    return first, third


def _lanes(answers: Sequence[Answer]) -> list[Lane]:
    return [lane for answer in answers for lane in answer.lanes]


def _is_busy(error: str) -> bool:
    return any(word in error.lower() for word in BUSY)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown, with columns as wide as what is in them."""
    cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def results_table(results: Sequence[Result], *, floor: str = "floor") -> str:
    """Return the table of a run of flows; `floor` is the side that the others are compared with."""
    heads = [
        "side",
        "c",
        "flows",
        "flows/s",
        f"÷ {floor} (quartiles)",
        "p50 ms",
        "p95 ms",
        *results[0].verbs_p50,
        "CPU ms",
        "errors",
    ]
    return table(heads, map(_row, results))


def _row(result: Result) -> list[str]:
    ratio = "" if result.over_floor is None else f"{result.over_floor:.3f}"
    if result.over_floor_quartiles:
        ratio += " ({:.3f}–{:.3f})".format(*result.over_floor_quartiles)
    return [
        result.side,
        result.concurrency,
        str(result.flows),
        f"{result.flows_per_second:.1f}",
        ratio,
        f"{result.flow_p50:.1f}",
        f"{result.flow_p95:.1f}",
        *(f"{milliseconds:.1f}" for milliseconds in result.verbs_p50.values()),
        f"{result.cpu_per_flow:.1f}",
        str(sum(result.errors.values())),
    ]


def errors_text(results: Iterable[Result]) -> str:
    """Return a line for each kind of error."""
    return "".join(
        f"{result.side}, c={result.concurrency}: {count} × {error}\n"
        for result in results
        for error, count in result.errors.items()
    )


def say(text: str) -> None:
    """Print."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_json(path: Path | None, **contents: Any) -> None:
    """Write what was found, and with what, to a file, where one is asked for."""
    if path is None:
        return
    versions = {"python": platform.python_version(), "django": django.get_version()}
    text = json.dumps(versions | contents, default=asdict, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
