"""What the document says of the payer's API."""

from __future__ import annotations

from typing import Any, Final

from payments.api.schema import examples
from payments.api.schema.operations import Answer, Operation
from payments.api.schema.parameters import IDEMPOTENCY_KEY, OPENING_KEY
from payments.api.storefront import collections, providers, saved_methods, sessions

_READ: Final = frozenset({401, 406, 422, 429, 503})
_WRITE: Final = _READ | {400, 403, 409, 411, 413, 415}
_PAY: Final = _WRITE | {402, 404}

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
    return Answer(row=sessions.SessionSerializer, description=description, example=example)


_NOT_KNOWN_YET: Final = _shown(
    "The provider has not said yet what became of it. Ask for the session again, at `Location`, after `Retry-After` "
    "seconds, until its `in_progress` is null.",
    examples.SESSION | {"status": "pending", "in_progress": "authorize", "next_action": None},
)


def _operation(**values: Any) -> Operation:
    is_read = values["method"] == "GET"
    defaults: dict[str, Any] = {
        "tag": "storefront",
        "errors": _READ | {404} if is_read else _PAY,
        "security": _CUSTOMER if is_read else _CHANGING_CUSTOMER,
        "parameters": (IDEMPOTENCY_KEY,) if values["method"] == "POST" else (),
    }
    return Operation(**(defaults | values))


OPERATIONS: Final = (
    _operation(
        view=providers.PaymentProvidersView,
        method="GET",
        name="list_payment_providers",
        errors=_READ,
        security=(_NOBODY,),
        answers={
            200: Answer(
                row=providers.ProviderSerializer,
                is_list=True,
                description="The enabled providers.",
                example={"results": [{"id": "card", "name": "Card", "supports_saved_payment_methods": True}]},
            )
        },
    ),
    _operation(
        view=saved_methods.SavedPaymentMethodsView,
        method="GET",
        name="list_saved_payment_methods",
        errors=_READ | {400, 402, 404},
        security=_LOGGED_IN,
        answers={
            200: Answer(
                row=saved_methods.SavedPaymentMethodSerializer,
                is_list=True,
                description="What the customer has saved with the provider, the newest first.",
                example={"results": [examples.SAVED_METHOD]},
            )
        },
    ),
    _operation(
        view=saved_methods.SavedPaymentMethodsView,
        method="POST",
        name="save_payment_method",
        body=saved_methods.SaveMethodInput,
        example={"return_url": "https://shop.example/account/cards"},
        security=_CHANGING_LOGGED_IN,
        answers={
            201: Answer(
                row=saved_methods.PaymentMethodSetupSerializer,
                description="What the browser needs to go on. Nothing is saved before it has.",
                example=examples.METHOD_SETUP,
            )
        },
    ),
    _operation(
        view=saved_methods.SavedPaymentMethodView,
        method="DELETE",
        name="remove_saved_payment_method",
        errors=_READ | {400, 402, 403, 404},
        security=_CHANGING_LOGGED_IN,
        answers={204: Answer(description="The provider has forgotten it.")},
    ),
    _operation(
        view=collections.PaymentCollectionsView,
        method="POST",
        name="open_payment_collection",
        body=collections.OpenCollectionInput,
        example={"reference": "12"},
        errors=_WRITE | {402, 501},
        security=(_NOBODY, {"session": [], "csrf": []}),
        parameters=(OPENING_KEY,),
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
                row=collections.CollectionSerializer,
                description="The collection and its sessions.",
                example=examples.COLLECTION,
            )
        },
    ),
    _operation(
        view=sessions.CollectionSessionsView,
        method="POST",
        name="create_payment_session",
        body=sessions.CreateSessionInput,
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
        body=sessions.UpdateSessionInput,
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
        body=sessions.AuthorizeInput,
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
