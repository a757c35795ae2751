"""The pages that browsers get: a pretend bank's challenge, saving a card, and the developer's overview."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import quote

from payments.simulator.customers import Customers, Setup
from payments.simulator.engine import Engine
from payments.simulator.errors import InvalidRequestError, NotFoundError, ServiceError
from payments.simulator.faults import CARDS, DEFAULT_CARD
from payments.simulator.intents import CHALLENGE_CODE, Intents
from payments.simulator.pages.overview import index_page, intent_page
from payments.simulator.pages.theme import page
from payments.simulator.records import Intent, IntentStatus
from payments.simulator.runtime import Settings, format_amount
from payments.simulator.server import Answer, Request

BANK: Final = "Sandbank"
_OUTCOMES: Final = {
    IntentStatus.AUTHORIZED: ("Payment approved", "Thank you. The shop has been told.", ""),
    IntentStatus.PROCESSING: ("Payment in progress", "Your bank is still checking this payment.", "wait"),
    IntentStatus.DECLINED: ("Payment declined", "Nothing was charged.", "bad"),
    IntentStatus.CANCELED: (
        "Payment canceled",
        "The shop canceled this payment. Nothing was charged.",
        "wait",
    ),
    IntentStatus.REQUIRES_CONFIRMATION: ("Payment changed", "Please start again from the shop.", "wait"),
}


class ChallengePage:
    """The page of an intent's challenge, which takes the shopper's answer."""

    def __init__(self, intents: Intents, settings: Settings) -> None:
        self._intents = intents
        self._settings = settings

    def answer(self, request: Request, challenge: str) -> Answer:
        """Answer a GET or a POST; raise NotFoundError, or InvalidRequestError for a foreign return address."""
        intent = self._intents.get_by_challenge(challenge)
        asked = request.query.get("return_url")
        if asked is not None and asked != intent.return_url:
            message = "This return address is not the one that the shop registered for this payment."
            raise InvalidRequestError("return_url_not_registered", message, param="return_url")
        if request.method != "POST":
            return self._show(intent)
        return self._decide(intent, challenge, request.form)

    def _decide(self, intent: Intent, challenge: str, form: dict[str, str]) -> Answer:
        if form.get("decision") == "reject":
            intent = self._intents.reject_challenge(challenge)
        else:
            intent = self._intents.answer_challenge(challenge, form.get("code", "")[:20])
        gave_up = intent.decline is not None and intent.decline.code == "challenge_failed"
        if intent.return_url is None or gave_up or intent.status is IntentStatus.REQUIRES_ACTION:
            return self._show(intent)
        return redirect(intent.return_url)

    def _show(self, intent: Intent) -> Answer:
        if intent.status is IntentStatus.REQUIRES_ACTION:
            return page(f"Confirm your payment · {BANK}", self._form(intent), name=BANK, is_narrow=True)
        title, text, tone = _OUTCOMES[intent.status]
        if intent.decline is not None:
            text = f"{intent.decline.message} {text}"
        content = (
            f'<section class="card"><h1>{title}</h1><p class="amount">{_amount(intent)}</p>'
            f'<p class="note {tone}" role="status">{escape(text)}</p>{_way_back(intent.return_url)}</section>'
        )
        return page(f"{title} · {BANK}", content, name=BANK, is_narrow=True)

    def _form(self, intent: Intent) -> str:
        error = intent.last_error
        alert = f'<p class="note bad" role="alert" id="error">{escape(error.message)}</p>' if error else ""
        described = (
            ' aria-invalid="true" aria-describedby="error hint"' if error else ' aria-describedby="hint"'
        )
        return (
            '<section class="card"><h1>Confirm your payment</h1>'
            f'<p class="amount">{_amount(intent)}</p>'
            f"<dl><dt>To</dt><dd>{escape(self._settings.merchant)}</dd>"
            f"<dt>With</dt><dd>{escape(intent.card or 'your card')}</dd>"
            f"<dt>Reference</dt><dd><code>{escape(intent.reference)}</code></dd></dl>"
            f'<form method="post">{alert}<div class="field"><label for="code">The code we sent you</label>'
            '<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="20" required '
            f"autofocus{described}>"
            f'<p class="hint" id="hint">This is a simulator: the code is <kbd>{CHALLENGE_CODE}</kbd></p></div>'
            '<div class="buttons"><button class="button main" name="decision" value="approve">Approve</button>'
            '<button class="button" name="decision" value="reject" formnovalidate>Reject</button></div></form>'
            "</section>"
        )


def redirect(url: str) -> Answer:
    """Send a browser back to the shop."""
    return Answer(
        status=303,
        content_type="text/plain",
        headers={"Location": quote(url, safe="/:?#[]@!$&'()*+,;=%~-._")},
    )


def error_page(title: str, message: str, status: int) -> Answer:
    """Return a page that says what went wrong."""
    content = (
        f'<section class="card"><h1>{escape(title)}</h1><p class="note bad" role="alert">{escape(message)}</p>'
        "</section>"
    )
    return page(f"{title} · {BANK}", content, name=BANK, is_narrow=True, status=status)


def _amount(intent: Intent) -> str:
    return escape(format_amount(intent.amount, intent.currency))


def _way_back(return_url: str | None) -> str:
    if return_url is None:
        return '<p class="hint">You can close this page and go back to the shop.</p>'
    return f'<a class="button main" href="{escape(return_url)}">Back to the shop</a>'


_TITLE: Final = "Save a card"


class SavingPage:
    """The page where a customer chooses a test card to save."""

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
        return (
            '<section class="card"><h1>Card saved</h1>'
            '<p class="note" role="status">The shop may now charge it when you have agreed to that.</p>'
            f"{_way_back(setup.return_url)}</section>"
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


class Pages:
    """All pages, by their addresses."""

    def __init__(self, engine: Engine, challenge: ChallengePage, saving: SavingPage) -> None:
        self._engine = engine
        self._challenge = challenge
        self._saving = saving

    def answer(self, request: Request) -> Answer:
        """Answer one request with a page, also where it is refused."""
        try:
            return self._route(request)
        except NotFoundError as error:
            return error_page("Page not found", error.message, 404)
        except ServiceError as error:
            return error_page("This does not work", error.message, error.status)

    def _route(self, request: Request) -> Answer:
        is_read = request.method in ("GET", "HEAD")
        parts = request.path.strip("/").split("/")
        match parts:
            case ["challenge", challenge] if is_read or request.method == "POST":
                return self._challenge.answer(request, challenge)
            case ["save", token] if is_read or request.method == "POST":
                return self._saving.answer(request, token)
            case [""] if is_read:
                return index_page(self._engine)
            case ["intents", intent_id] if is_read:
                return intent_page(self._engine, self._engine.intent(intent_id))
        raise NotFoundError("not_found", "There is no such page.")
