"""The bodies that each endpoint takes, as far as a shop could want them; “!” marks what is required."""

from __future__ import annotations

from typing import Any, Final

MONEY: Final[dict[str, Any]] = {"currency_code!": 3, "value!": 32}

_EXPERIENCE: Final[dict[str, Any]] = {
    "brand_name": 127,
    "cancel_url": 4000,
    "landing_page": frozenset({"LOGIN", "GUEST_CHECKOUT", "NO_PREFERENCE"}),
    "locale": 10,
    "payment_method_preference": frozenset({"UNRESTRICTED", "IMMEDIATE_PAYMENT_REQUIRED"}),
    "return_url": 4000,
    "shipping_preference": frozenset({"GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS"}),
    "user_action": frozenset({"CONTINUE", "PAY_NOW"}),
}
CREATE_ORDER: Final[dict[str, Any]] = {
    "intent!": frozenset({"AUTHORIZE", "CAPTURE"}),
    "purchase_units!": [
        {
            "amount!": MONEY,
            "custom_id": 255,
            "description": 127,
            "invoice_id": 127,
            "reference_id": 256,
            "soft_descriptor": 22,
        }
    ],
    "payment_source": {"paypal": {"experience_context": _EXPERIENCE, "email_address": 254}},
}
PATCH_ORDER: Final[list[Any]] = [
    {"op!": frozenset({"add", "replace", "remove"}), "path!": 500, "value": "any"}
]
NOTHING: Final[dict[str, Any]] = {}
CAPTURE: Final[dict[str, Any]] = {
    "amount": MONEY,
    "final_capture": "bool",
    "invoice_id": 127,
    "note_to_payer": 255,
    "soft_descriptor": 22,
}
REFUND: Final[dict[str, Any]] = {"amount": MONEY, "custom_id": 127, "invoice_id": 127, "note_to_payer": 255}
