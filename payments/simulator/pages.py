"""Which page answers which address."""

from __future__ import annotations

from payments.simulator.challenge import ChallengePage, error_page
from payments.simulator.dashboard import Dashboard
from payments.simulator.errors import NotFoundError, ServiceError
from payments.simulator.overview import index_page, intent_page
from payments.simulator.saving import SavingPage
from payments.simulator.wire import Answer, Request


class Pages:
    """Answer browsers."""

    def __init__(self, dashboard: Dashboard, challenge: ChallengePage, saving: SavingPage) -> None:
        self._dashboard = dashboard
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
                return index_page(self._dashboard)
            case ["intents", intent_id] if is_read:
                return intent_page(self._dashboard, self._dashboard.intent(intent_id))
        raise NotFoundError("not_found", "There is no such page.")
