"""What the scripts of the checkout and of the saved cards are told: addresses and words. The API has the rest."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from example_project.shop.cards import TRIAL_CARDS
from example_project.shop.models import Order
from example_project.shop.overviews import PROVIDER_NAMES

CARD_PROVIDER: Final = "simulator"

_PROVIDER_HINTS: Final = {
    "simulator": _("With one of the simulator's test cards"),
    "system": _("We set your pieces aside until your transfer arrives"),
}

_TEXTS: Final = {
    "split": _("Split over both"),
    "splitHint": _("A part by {first}, the rest by {second}"),
    "amountOn": _("{name}, in {currency}"),
    "rest": _("The rest: {name}"),
    "amountHint": _("More than nothing, less than {amount}."),
    "amountWrong": _("Give an amount between nothing and {amount}, with a point before the decimals."),
    "pay": _("Pay {amount}"),
    "paying": _("One moment …"),
    "meter": _("{paid} paid, {held} held, {open} open"),
    "authorized": _("Held for us"),
    "partly": _("{amount} of it is covered"),
    "requires_more": _("Your bank asks for a code"),
    "pending": _("Not finished"),
    "processing": _("Your bank is still checking"),
    "error": _("Declined"),
    "declined": _("{name}: {message} Nothing was charged. Try another card, or another way to pay."),
    "toBank": _("Go to your bank"),
    "drop": _("Drop this part"),
    "partial": _("Your card covered only {held}. How do you want to pay the other {open}?"),
    "next": _("{held} are held. How do you want to pay the other {open}?"),
    "due": _("due on {date}"),
    "installment": _("This pays the installment of {date}. The later ones can wait until they are due."),
    "confirming": _("Back from your bank: we are confirming your payment."),
    "prepared": _("This pays the part that the shop has prepared. What is left comes after it."),
    "waiting": _(
        "We don't know yet whether your bank agreed. You need not pay again: this page keeps asking."
    ),
    "bankTab": _(
        "Your bank asks for a code, on a page of its own. This page goes on once you have entered it."
    ),
    "stillWaiting": _(
        "There is still no answer. Your order is kept, and its page will show how this ends; please don't pay again."
    ),
    "done": _("Thank you: all of it is covered."),
    "elsewhere": _("This was paid in another window."),
    "canceled": _("This order's payment was canceled, so nothing can be paid here any more."),
    "offline": _(
        "The payment service can't be reached right now. Nothing was changed; try again in a moment."
    ),
    "failed": _("That did not work: {message}"),
    "saved": _("saved earlier"),
}
_CARD_TEXTS: Final = {
    "remove": _("Remove"),
    "until": _("until {month}"),
    "offline": _TEXTS["offline"],
    "failed": _TEXTS["failed"],
}


def checkout_settings(request: HttpRequest, order: Order, *, is_return: bool) -> dict[str, Any]:
    """Return the settings of the checkout page for one order, ready for JSON."""
    return {
        "reference": order.number,
        "csrfCookie": _csrf_cookie(request),
        "locale": get_language(),
        "isReturn": is_return,
        "urls": _addresses(request, order),
        "cardProvider": CARD_PROVIDER,
        "providers": {
            alias: {"name": str(name), "hint": str(_PROVIDER_HINTS[alias])}
            for alias, name in PROVIDER_NAMES.items()
        },
        "cards": [{"id": card.id, "name": str(card.name), "hint": str(card.effect)} for card in TRIAL_CARDS],
        "texts": {name: str(text) for name, text in _TEXTS.items()},
    }


def cards_settings(request: HttpRequest) -> dict[str, Any]:
    """Return the settings of the page with a customer's saved cards, ready for JSON."""
    return {
        "csrfCookie": _csrf_cookie(request),
        "urls": {**_saved_addresses(), "cards": request.build_absolute_uri(reverse("shop:cards"))},
        "texts": {name: str(text) for name, text in _CARD_TEXTS.items()},
    }


def _csrf_cookie(request: HttpRequest) -> str:
    """Return the name of the cookie with the token of every POST, and have it set."""
    get_token(request)
    return settings.CSRF_COOKIE_NAME


def _saved_addresses() -> dict[str, str]:
    """Return where a customer's saved cards are; `ID` stands for the id of one."""
    return {
        "savedMethods": reverse("payments:storefront-saved-payment-methods", args=[CARD_PROVIDER]),
        "savedMethod": reverse("payments:storefront-saved-payment-method", args=[CARD_PROVIDER, "ID"]),
    }


def _addresses(request: HttpRequest, order: Order) -> dict[str, str]:
    """Return where things are; `ID` stands for the id of a collection or a session."""
    return {
        "providers": reverse("payments:storefront-payment-providers"),
        "collections": reverse("payments:storefront-payment-collections"),
        "collection": reverse("payments:storefront-payment-collection", args=["ID"]),
        "newSession": reverse("payments:storefront-payment-collection-sessions", args=["ID"]),
        "session": reverse("payments:storefront-payment-session", args=["ID"]),
        "authorize": reverse("payments:storefront-payment-session-authorize", args=["ID"]),
        "cancel": reverse("payments:storefront-payment-session-cancel", args=["ID"]),
        "order": reverse("shop:order", args=[order.number]),
        "checkout": reverse("shop:checkout", args=[order.number]),
        "return": request.build_absolute_uri(reverse("shop:return", args=[order.number])),
        **(_saved_addresses() if request.user.is_authenticated else {}),
    }
