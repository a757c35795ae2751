"""What the document says of the payer's API."""

from __future__ import annotations

from typing import Any, Final

from docs.openapi import examples
from docs.openapi.operations import Answer, Operation
from payments.api.storefront import collections, providers, sessions

_NOBODY: Final[dict[str, list[str]]] = {}
_CUSTOMER: Final[tuple[dict[str, list[str]], ...]] = ({"clientSecret": []}, {"session": []})
_CHANGING_CUSTOMER: Final[tuple[dict[str, list[str]], ...]] = (
    {"clientSecret": []},
    {"session": [], "csrf": []},
)

_LOGGED_IN: Final[tuple[dict[str, list[str]], ...]] = ({"session": []},)
_CHANGING_LOGGED_IN: Final[tuple[dict[str, list[str]], ...]] = ({"session": [], "csrf": []},)

_SECRET: Final = {
    "client_secret": {
        "type": "string",
        "description": "Whoever sends it as `Payment-Client-Secret` may see and pay this collection.",
    }
}


def _shown(description: str, example: Any) -> Answer:
    return Answer(description=description, example=example)


_NOT_KNOWN_YET: Final = _shown(
    "The provider has not said yet what became of it. Ask for the session again, at `Location`, after `Retry-After` "
    "seconds, until its `in_progress` is null.",
    examples.SESSION | {"status": "pending", "in_progress": "authorize", "next_action": None},
)


def _operation(**values: Any) -> Operation:
    is_read = values["method"] == "GET"
    defaults: dict[str, Any] = {
        "tag": "storefront",
        "security": _CUSTOMER if is_read else _CHANGING_CUSTOMER,
    }
    return Operation(**(defaults | values))


OPERATIONS: Final = (
    _operation(
        view=providers.PaymentProvidersView,
        method="GET",
        name="list_payment_providers",
        security=(_NOBODY,),
        answers={
            200: Answer(
                description="The enabled providers.",
                example={"results": [{"id": "card", "name": "Card", "supports_saved_payment_methods": True}]},
            )
        },
    ),
    _operation(
        view=providers.SavedPaymentMethodsView,
        method="GET",
        name="list_saved_payment_methods",
        security=_LOGGED_IN,
        answers={
            200: Answer(
                description="What the customer has saved with the provider, the newest first.",
                example={"results": [examples.SAVED_METHOD]},
            )
        },
    ),
    _operation(
        view=providers.SavedPaymentMethodsView,
        method="POST",
        name="save_payment_method",
        example={"return_url": "https://shop.example/account/cards"},
        security=_CHANGING_LOGGED_IN,
        answers={
            201: Answer(
                description="What the browser needs to go on. Nothing is saved before it has.",
                example=examples.METHOD_SETUP,
            )
        },
    ),
    _operation(
        view=providers.SavedPaymentMethodView,
        method="DELETE",
        name="remove_saved_payment_method",
        security=_CHANGING_LOGGED_IN,
        answers={204: Answer(description="The provider has forgotten it.")},
    ),
    _operation(
        view=collections.PaymentCollectionsView,
        method="POST",
        name="open_payment_collection",
        example={"reference": "12"},
        security=(_NOBODY, {"session": [], "csrf": []}),
        key_description="For customers who are logged in, as everywhere. A guest's key is not kept: opening is "
        "repeated by its `reference`, for which there is one open collection, however often it is asked for.",
        answers={
            status: Answer(
                row=collections.CollectionSerializer,
                extra=_SECRET,
                description=description,
                example=examples.OPENED_COLLECTION,
            )
            for status, description in (
                (201, "A new collection."),
                (200, "The collection that is there already."),
            )
        },
    ),
    _operation(
        view=collections.PaymentCollectionView,
        method="GET",
        name="get_payment_collection",
        answers={
            200: Answer(
                description="The collection and its sessions.",
                example=examples.COLLECTION,
            )
        },
    ),
    _operation(
        view=sessions.CollectionSessionsView,
        method="POST",
        name="create_payment_session",
        example={"provider_id": "card", "return_url": "https://shop.example/checkout/back"},
        answers={
            201: _shown("The session.", examples.SESSION | {"status": "pending", "next_action": None}),
            202: _NOT_KNOWN_YET,
        },
    ),
    _operation(
        view=sessions.PaymentSessionView,
        method="GET",
        name="get_payment_session",
        answers={200: _shown("The session.", examples.SESSION)},
    ),
    _operation(
        view=sessions.PaymentSessionView,
        method="PATCH",
        name="update_payment_session",
        example={"amount": "40.00"},
        answers={
            200: _shown(
                "The session.",
                examples.SESSION | {"amount": "40.00", "status": "pending", "next_action": None},
            ),
            202: _NOT_KNOWN_YET,
        },
    ),
    _operation(
        view=sessions.AuthorizeSessionView,
        method="POST",
        name="authorize_payment_session",
        example={"data": {"card": "card_3ds"}},
        answers={
            200: _shown(
                "The session: `authorized`; `requires_more`, with a `next_action`; or `error`, with the reason.",
                examples.SESSION,
            ),
            202: _NOT_KNOWN_YET,
        },
    ),
    _operation(
        view=sessions.CancelSessionView,
        method="POST",
        name="cancel_payment_session",
        answers={200: _shown("The session.", examples.CANCELED_SESSION), 202: _NOT_KNOWN_YET},
    ),
)
