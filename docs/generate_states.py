"""Write docs/states.md from the transition methods of the models: `python docs/generate_states.py`.

It needs Django and `payments`, and neither a database nor a project's settings.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import django
from django.apps import apps
from django.conf import settings
from django.db.models import CheckConstraint

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "states.md"
COMMAND: Final = "python docs/generate_states.py"

MODELS: Final = (
    "PaymentCollection",
    "PaymentSession",
    "Payment",
    "Capture",
    "Refund",
    "PaymentOperation",
    "WebhookEvent",
)

INTRODUCTION: Final = f"""\
# States

<!-- Written by `{COMMAND}` from the transition methods in payments/models. Change those, not this page. -->

What each row can be, and which transition method leads from where to where. Nothing else changes a status:

* Assigning one raises `AttributeError`, and a transition from another status raises `TransitionNotAllowed`. Neither
  changes anything.
* The managers, related ones too, refuse `update`, `bulk_update`, `update_or_create` and `bulk_create` of statuses and
  amounts, and insert only rows with the first status: `TransitionError` with the code `services_only`. Other fields,
  such as `metadata`, are written as usual.
* The database itself refuses a status that isn't listed here, and one whose facts the row lacks. So neither raw SQL nor
  a fixture nor a transition that no service completes (`session.authorize(); session.save()`) gets through:
  `IntegrityError`. Each section names the constraints; they are the same on SQLite, PostgreSQL and MariaDB.

The services choose the transitions. What a provider reports may arrive late, twice or out of order, so some of them
lead back from statuses that look final: a canceled session turns out to be authorized, a refund fails after days.
"""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Hold one transition method: where it may be called, where it leads, and what it means."""

    name: str
    sources: tuple[str, ...]
    target: str
    meaning: str


def states_page() -> str:
    """Return the whole page, as the models in this process have it."""
    return "\n".join([INTRODUCTION, *(_section(apps.get_model("payments", name)) for name in MODELS)])


def _section(model: Any) -> str:
    field = model._meta.get_field("status")
    statuses = [str(value) for value, _label in field.choices]
    steps = _steps(model, field, statuses)
    return "\n".join(
        [
            f"## {model.__name__}",
            "",
            _first_line(model),
            "",
            *_diagram(str(field.default), steps),
            "",
            *_table(steps),
            "",
            f"The database holds: {', '.join(_constraints(model))}.",
            "",
        ]
    )


def _steps(model: Any, field: Any, statuses: list[str]) -> list[Step]:
    sources: dict[str, list[str]] = {}
    targets: dict[str, str] = {}
    for transition in field.get_all_transitions(model):
        others = [each for each in statuses if each != transition.target]
        meant = others if transition.source == "+" else [str(transition.source)]
        sources.setdefault(transition.name, []).extend(meant)
        targets[transition.name] = str(transition.target)
    in_order = sorted(sources, key=lambda name: (statuses.index(targets[name]), name))
    return [
        Step(
            name=name,
            sources=tuple(sorted(sources[name], key=statuses.index)),
            target=targets[name],
            meaning=_first_line(getattr(model, name)),
        )
        for name in in_order
    ]


def _diagram(initial: str, steps: Iterable[Step]) -> list[str]:
    arrows = [f"    {source} --> {step.target}: {step.name}" for step in steps for source in step.sources]
    return ["```mermaid", "stateDiagram-v2", f"    [*] --> {initial}", *arrows, "```"]


def _table(steps: Iterable[Step]) -> list[str]:
    rows = [
        f"| `{step.name}` | {', '.join(f'`{source}`' for source in step.sources)} | `{step.target}` | {step.meaning} |"
        for step in steps
    ]
    return ["| transition | from | to | meaning |", "|---|---|---|---|", *rows]


def _constraints(model: Any) -> list[str]:
    """Return the names of the constraints that say which status a row can have."""
    checks = (each for each in model._meta.constraints if isinstance(each, CheckConstraint))
    return [f"`{each.name}`" for each in checks if "'status" in str(each.condition)]


def _first_line(documented: Callable[..., Any]) -> str:
    return (inspect.getdoc(documented) or "").splitlines()[0]


def _set_up() -> None:
    settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "payments"])
    django.setup()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    _set_up()
    PAGE.write_text(states_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written.\n")
