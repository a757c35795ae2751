"""The page where a customer saves a card: the service's own, so that no shop sees the number."""

from __future__ import annotations

from html import escape
from typing import Final

from payments.simulator.cards import CARDS, DEFAULT_CARD
from payments.simulator.challenge import BANK, redirect
from payments.simulator.customers import Customers, Setup
from payments.simulator.settings import Settings
from payments.simulator.theme import page
from payments.simulator.wire import Answer, Request

_TITLE: Final = "Save a card"


class SavingPage:
    """Let a customer choose a test card."""

    def __init__(self, customers: Customers, settings: Settings) -> None:
        self._customers = customers
        self._settings = settings

    def answer(self, request: Request, token: str) -> Answer:
        """Answer a GET or a POST; raise NotFoundError for a page or a card that there isn't."""
        setup = self._customers.setup_at(token)
        if request.method == "POST":
            setup = self._customers.complete(token, request.form.get("card", ""))
            if setup.return_url is not None:
                return redirect(setup.return_url)
        return page(f"{_TITLE} · {BANK}", self._content(setup), name=BANK, is_narrow=True)

    def _content(self, setup: Setup) -> str:
        if setup.method is None:
            return self._form()
        way_back = (
            '<p class="hint">You can close this page and go back to the shop.</p>'
            if setup.return_url is None
            else f'<a class="button main" href="{escape(setup.return_url)}">Back to the shop</a>'
        )
        return (
            '<section class="card"><h1>Card saved</h1>'
            '<p class="note" role="status">The shop may now charge it when you have agreed to that.</p>'
            f"{way_back}</section>"
        )

    def _form(self) -> str:
        return (
            f'<section class="card"><h1>{_TITLE}</h1>'
            f"<p>{escape(self._settings.merchant)} may charge it later, while you are away.</p>"
            f'<form method="post"><fieldset class="choices"><legend>Test cards</legend>{_choices()}</fieldset>'
            '<button class="button main">Save this card</button></form></section>'
        )


def _choices() -> str:
    return "".join(
        f'<label class="choice"><input type="radio" name="card" value="{card.token}" required'
        f"{' checked' if card.token == DEFAULT_CARD else ''}>"
        f"<span><code>{card.token}</code> <small>{escape(card.text)}</small></span></label>"
        for card in CARDS.values()
    )
