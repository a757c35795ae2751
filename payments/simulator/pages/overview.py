"""The developer's pages: what this is, what calls up which behaviour, and what the service holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import quote

from payments.simulator.engine import Engine
from payments.simulator.faults import CARDS
from payments.simulator.pages.theme import page
from payments.simulator.records import Intent, IntentStatus, Movement
from payments.simulator.runtime import format_amount
from payments.simulator.server import Answer

_NAME: Final = "Payment simulator"
_LATEST: Final = 25
_TONES: Final = {
    "authorized": "good", "succeeded": "good", "delivered": "good",
    "declined": "bad", "failed": "bad", "dropped": "bad",
    "requires_action": "wait", "processing": "wait", "pending": "wait", "held": "wait",
}  # fmt: skip


def index_page(engine: Engine) -> Answer:
    """Show the front page."""
    content = (
        '<section class="card"><h1>A payment service that misbehaves on request</h1>'
        '<p class="lead">It speaks HTTP like a real one and keeps its own ledger, but no card is real and no money '
        "moves. Pick a test card, or script a fault (<code>POST /_control/scenarios</code>).</p>"
        f"{_facts(engine)}</section>"
        f"{_latest(engine)}{_cards()}"
    )
    return page(_NAME, content, name=_NAME)


def intent_page(engine: Engine, intent: Intent) -> Answer:
    """Show one intent and all that happened to it; its private values stay off the page."""
    content = (
        f'<p><a href="/">All intents</a></p><section class="card"><h1>{escape(intent.reference)}</h1>'
        f'<p class="amount">{_money(intent, intent.amount)}</p><p>{_chip(intent.status)}</p>{_sums(intent)}'
        f"{_challenge_link(intent, engine)}</section>"
        f"{_movements(intent)}{_events(engine, intent)}{_calls(engine, intent)}"
    )
    return page(f"{intent.reference} · {_NAME}", content, name=_NAME)


def _facts(engine: Engine) -> str:
    settings = engine.settings
    delay = settings.async_delay
    facts = [
        ("Webhooks to", settings.webhook_url or "nowhere"),
        ("Ledger", engine.ledger.path),
        ("Pending things settle after", "a control call only" if delay is None else f"{delay:g} s"),
        ("Clock", f"{_time(engine.clock.now())} UTC"),
        ("Scripted faults waiting", str(len(engine.scenarios()))),
    ]
    items = "".join(f"<span>{name}: <code>{escape(value)}</code></span>" for name, value in facts)
    return f'<p class="facts">{items}</p>'


def _latest(engine: Engine) -> str:
    rows = [
        (
            f'<a href="/intents/{quote(each.id)}">{escape(each.reference)}</a>',
            _chip(each.status),
            _money(each, each.amount),
            _money(each, each.amount_authorized),
            _money(each, each.amount_captured),
            _money(each, each.amount_refunded),
            f"{_time(each.created)}",
        )
        for each in engine.latest_intents(_LATEST)
    ]
    heads = ("Reference", "Status", "Amount#", "Authorized#", "Captured#", "Refunded#", "Made (UTC)#")
    return _section("Latest intents", heads, rows, empty="None yet. They show up here as a shop makes them.")


def _cards() -> str:
    rows = [(f"<code>{card.token}</code>", escape(card.text)) for card in CARDS.values()]
    return _section("Test cards", ("Token", "What happens"), rows)


def _sums(intent: Intent) -> str:
    sums = {
        "Authorized": intent.amount_authorized,
        "Captured": intent.amount_captured,
        "Refunded": intent.amount_refunded,
        "Canceled": intent.amount_canceled,
        "Charged back": intent.amount_charged_back,
    }
    items = "".join(f"<dt>{name}</dt><dd>{_money(intent, value)}</dd>" for name, value in sums.items())
    card = f"<dt>Card</dt><dd><code>{escape(intent.card)}</code></dd>" if intent.card else ""
    decline = (
        f"<dt>Declined</dt><dd><code>{escape(intent.decline.code)}</code></dd>" if intent.decline else ""
    )
    return f"<dl><dt>Id</dt><dd><code>{escape(intent.id)}</code></dd>{card}{decline}{items}</dl>"


def _challenge_link(intent: Intent, engine: Engine) -> str:
    url = intent.challenge_url(engine.settings.base_url)
    if intent.status is not IntentStatus.REQUIRES_ACTION or url is None:
        return ""
    return f'<p><a class="button main" href="{escape(url)}">Open the challenge page</a></p>'


def _movements(intent: Intent) -> str:
    heads = ("What", "Status", "Amount#", "Shop's reference", "When (UTC)#")
    rows = [_movement_row(intent, each) for each in intent.movements]
    return _section("Captures, refunds, chargebacks", heads, rows, empty="None.")


def _movement_row(intent: Intent, each: Movement) -> tuple[str, ...]:
    reference = f"<code>{escape(each.reference)}</code>" if each.reference else "made at the service"
    return (str(each.kind), _chip(each.status), _money(intent, each.amount), reference, _time(each.created))


def _events(engine: Engine, intent: Intent) -> str:
    rows = [
        (
            escape(each.type),
            _chip(each.status),
            escape(each.last_answer or "none"),
            str(each.attempts),
            _time(each.created),
        )
        for each in engine.events(intent=intent.id)
    ]
    heads = ("Event", "Delivery", "Shop's answer", "Tries#", "When (UTC)#")
    return _section("Events", heads, rows, empty="None.")


def _calls(engine: Engine, intent: Intent) -> str:
    rows = [
        (
            escape(each.operation or each.method),
            escape(str(each.status or "no answer")) + (" (replayed)" if each.is_replayed else ""),
            escape(each.fault or ""),
            f"<code>{escape(each.key)}</code>" if each.key else "",
            _time(each.at),
        )
        for each in engine.calls(intent=intent.id)
    ]
    return _section(
        "Calls received", ("Operation", "Answer", "Fault", "Key", "When (UTC)#"), rows, empty="None."
    )


def _section(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, empty: str = "") -> str:
    body = _table(heads, rows) if rows else f'<p class="empty">{empty}</p>'
    return f'<section class="card"><h2>{title}</h2>{body}</section>'


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Lay out cells of HTML; a heading that ends in # makes a column of numbers."""
    numeric = [head.endswith("#") for head in heads]
    top = "".join(
        f'<th scope="col"{" class=number" if number else ""}>{head.rstrip("#")}</th>'
        for head, number in zip(heads, numeric, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=number' if n else ''}>{cell}</td>" for cell, n in zip(row, numeric, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        '<div class="scroll" tabindex="0" role="group" aria-label="Table">'
        f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _chip(status: str) -> str:
    tone = _TONES.get(status, "")
    return f'<span class="chip {tone}">{escape(str(status).replace("_", " "))}</span>'


def _money(intent: Intent, amount: int) -> str:
    return escape(format_amount(amount, intent.currency))


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%m-%d %H:%M:%S")
