"""What a page is made of: a summary on top and panels below it.

Frozen data only; how they look is in the templates under `admin/payments/parts/`.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from payments.admin.widgets import AmountBar, Tone

Text = str | SafeString


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A label with a value; the value is escaped unless it is safe."""

    label: Text
    value: Text


def known_facts(*pairs: tuple[Text, Text | None]) -> tuple[Fact, ...]:
    """Return facts of labels and values; what has no value is left out."""
    return tuple(Fact(label=label, value=value) for label, value in pairs if value)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that needs an operator's eye, with an optional link."""

    text: Text
    url: str | None = None
    link: Text = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a row is and how it stands, on top of its page."""

    badges: tuple[SafeString, ...] = ()
    headline: Text = ""
    figures: tuple[Fact, ...] = ()
    bar: AmountBar | None = None
    facts: tuple[Fact, ...] = ()
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A titled section; `slug` is its anchor, `note` a sentence under the title."""

    template: ClassVar[str]

    title: Text
    slug: str
    note: Text = ""
    more_url: str | None = None
    more_text: Text = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table; `is_number` aligns it to the right."""

    label: Text
    is_number: bool = False


def columns(*labels: Text, numbers: Collection[int] = ()) -> tuple[Column, ...]:
    """Return columns with labels, of which those at the places `numbers` are aligned to the right."""
    return tuple(Column(label=label, is_number=place in numbers) for place, label in enumerate(labels))


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table, one cell per column; `is_part` indents it below the row that it is a part of."""

    cells: tuple[Text, ...]
    is_part: bool = False


@dataclass(frozen=True, kw_only=True)
class TablePanel(Panel):
    """A table, or a sentence where it has no rows."""

    template: ClassVar[str] = "admin/payments/parts/table.html"

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    empty: Text
    is_cut: bool = False

    @property
    def lined_up(self) -> list[tuple[Row, list[tuple[Column, Text]]]]:
        """The rows with each cell beside its column."""
        return [(row, list(zip(self.columns, row.cells, strict=True))) for row in self.rows]


@dataclass(frozen=True, kw_only=True)
class AnswerPanel(TablePanel):
    """A table that a provider fills in on request; `alert` says why it didn't."""

    template: ClassVar[str] = "admin/payments/parts/methods.html"

    ask_url: str
    is_asked: bool = False
    alert: Text = ""


@dataclass(frozen=True, kw_only=True)
class DocumentPanel(Panel):
    """A JSON document; `withheld` is shown in its place to a user who may not read it."""

    template: ClassVar[str] = "admin/payments/parts/document.html"

    text: str | None
    withheld: Text = ""


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One change: when, what in words, from where to where, how much; `origin` lists about what and by whom.

    For a provider's answer, `question` says what was asked, and `answer` is the answer as JSON, redacted; `withheld` is
    shown in its place to a user who may not read it.
    """

    time: SafeString
    tone: Tone
    sentence: Text
    change: SafeString = field(default_factory=SafeString)
    amount: SafeString = field(default_factory=SafeString)
    origin: tuple[Text, ...] = ()
    question: Text = ""
    answer: str = ""
    withheld: Text = ""


@dataclass(frozen=True, kw_only=True)
class TimelineDay:
    """The changes of one day."""

    date: str
    entries: tuple[TimelineEntry, ...]


@dataclass(frozen=True, kw_only=True)
class TimelinePanel(Panel):
    """A history, oldest first."""

    template: ClassVar[str] = "admin/payments/parts/timeline.html"

    days: tuple[TimelineDay, ...]
    empty: Text
    is_cut: bool = False


PRIVATE_DATA_PERMISSION: Final = "payments.view_provider_data"
PRIVATE_COLUMNS: Final = frozenset({"provider_data", "context", "input", "provider_log", "sent", "fact"})


def metadata_panel(metadata: Any) -> Panel | None:
    """Return a panel of what the shop keeps of its own with a row, or None where that is nothing."""
    if not metadata:
        return None
    return document_panel(title=_("Metadata"), slug="metadata", value=metadata)


def document_panel(*, title: Text, slug: str, value: Any, note: Text = "") -> DocumentPanel:
    """Return a panel with a JSON document, for all who may see the page."""
    return DocumentPanel(title=title, slug=slug, text=pretty(value), note=note)


def private_panel(
    request: HttpRequest, row: Any, field: str, *, title: Text, slug: str, note: Text = ""
) -> DocumentPanel:
    """Return a panel with a private JSON column, or with a sentence in its place.

    The column is deferred, so without the permission it isn't even read from the database.
    """
    if may_see_private_data(request):
        return DocumentPanel(title=title, slug=slug, text=pretty(getattr(row, field)), note=note)
    return DocumentPanel(
        title=title,
        slug=slug,
        text=None,
        withheld=withheld_words(),
    )


def provider_data_panel(request: HttpRequest, row: Any) -> DocumentPanel:
    """Return a panel with what a provider keeps of a row, which is private."""
    return private_panel(
        request,
        row,
        "provider_data",
        title=_("Private provider data"),
        slug="provider-data",
        note=_("What the provider needs later. The storefront never sees it."),
    )


def withheld_words() -> str:
    """Return the sentence that stands in the place of what is private."""
    return _("You lack the permission to see private provider data.")


def may_see_private_data(request: HttpRequest) -> bool:
    """Return whether the request's user may see what providers keep private."""
    user: Any = request.user
    return bool(user.has_perm(PRIVATE_DATA_PERMISSION))


def pretty(value: Any) -> str:
    """Return JSON that a person can read, in the order in which it is stored; nothing where it is empty."""
    if value in (None, {}, []):
        return ""
    return json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)


def next_action_text(value: Any) -> str | SafeString:
    """Return what the payer has to do next, as text: an address from a provider isn't for operators to follow."""
    if not isinstance(value, dict):
        return ""
    return " ".join(str(value[key]) for key in ("type", "url") if value.get(key))
