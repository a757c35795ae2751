"""The parameters that each endpoint takes, as far as a shop could want them."""

from __future__ import annotations

from typing import Any, Final

_EXPAND: Final = {"expand": "strings"}
_PAGE: Final = {"limit": "int", "starting_after": "str", "ending_before": "str", **_EXPAND}
_USAGE: Final = frozenset({"on_session", "off_session"})

CREATE_INTENT: Final[dict[str, Any]] = {
    "amount": "int",
    "currency": "str",
    "capture_method": frozenset({"automatic", "automatic_async", "manual"}),
    "allowed_payment_method_types": "strings",
    "automatic_payment_methods": {"enabled": "bool", "allow_redirects": frozenset({"always", "never"})},
    "payment_method_options": {"card": {"request_multicapture": frozenset({"if_available", "never"})}},
    "payment_method": "str",
    "customer": "str",
    "confirm": "bool",
    "off_session": "bool",
    "return_url": "str",
    "description": "str",
    "statement_descriptor": "str",
    "statement_descriptor_suffix": "str",
    "setup_future_usage": _USAGE,
    "receipt_email": "str",
    "metadata": "metadata",
    **_EXPAND,
}
UPDATE_INTENT: Final[dict[str, Any]] = {
    "amount": "int",
    "payment_method": "str",
    "description": "str",
    "metadata": "metadata",
    **_EXPAND,
}
CONFIRM_INTENT: Final[dict[str, Any]] = {
    "payment_method": "str",
    "confirmation_token": "str",
    "return_url": "str",
    "off_session": "bool",
    "setup_future_usage": _USAGE | {""},
    **_EXPAND,
}
CAPTURE_INTENT: Final[dict[str, Any]] = {
    "amount_to_capture": "int",
    "final_capture": "bool",
    "metadata": "metadata",
    "statement_descriptor_suffix": "str",
    **_EXPAND,
}
CANCEL_INTENT: Final[dict[str, Any]] = {
    "cancellation_reason": frozenset({"abandoned", "duplicate", "fraudulent", "requested_by_customer"}),
    **_EXPAND,
}
RETRIEVE_INTENT: Final[dict[str, Any]] = {"client_secret": "str", **_EXPAND}
SEARCH_INTENTS: Final[dict[str, Any]] = {"query": "str", "limit": "int", "page": "str", **_EXPAND}
CREATE_REFUND: Final[dict[str, Any]] = {
    "payment_intent": "str",
    "charge": "str",
    "amount": "int",
    "reason": frozenset({"duplicate", "fraudulent", "requested_by_customer"}),
    "metadata": "metadata",
    **_EXPAND,
}
LIST_REFUNDS: Final[dict[str, Any]] = {"payment_intent": "str", "charge": "str", **_PAGE}
LIST_DISPUTES: Final[dict[str, Any]] = {"payment_intent": "str", "charge": "str", **_PAGE}
LIST_WEBHOOK_ENDPOINTS: Final[dict[str, Any]] = _PAGE
CREATE_CUSTOMER: Final[dict[str, Any]] = {
    "email": "str",
    "name": "str",
    "description": "str",
    "metadata": "metadata",
    **_EXPAND,
}
RETRIEVE_CUSTOMER: Final[dict[str, Any]] = _EXPAND
DELETE_CUSTOMER: Final[dict[str, Any]] = {}
SEARCH_CUSTOMERS: Final[dict[str, Any]] = SEARCH_INTENTS
LIST_PAYMENT_METHODS: Final[dict[str, Any]] = {"type": "str", **_PAGE}
CREATE_SETUP_INTENT: Final[dict[str, Any]] = {
    "customer": "str",
    "usage": _USAGE,
    "allowed_payment_method_types": "strings",
    "automatic_payment_methods": {"enabled": "bool", "allow_redirects": frozenset({"always", "never"})},
    "metadata": "metadata",
    **_EXPAND,
}
RETRIEVE_PAYMENT_METHOD: Final[dict[str, Any]] = _EXPAND
RETRIEVE_TOKEN: Final[dict[str, Any]] = _EXPAND
DETACH: Final[dict[str, Any]] = _EXPAND
