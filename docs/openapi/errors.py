"""The answers that are errors, each once: the one shape, and when it comes with which status."""

from __future__ import annotations

from typing import Any, Final

from payments.api.errors import ERROR_SCHEMA, ERROR_TYPES

SCHEMA: Final[dict[str, Any]] = ERROR_SCHEMA | {
    "properties": ERROR_SCHEMA["properties"] | {"type": {"type": "string", "enum": sorted(ERROR_TYPES)}}
}

_TEXTS: Final[dict[int, tuple[str, str, str, str]]] = {
    400: (
        "InvalidRequest",
        "A value is not as it should be; nothing was done.",
        "invalid_request",
        "exceeds_remaining",
    ),
    401: ("NotAuthenticated", "Nobody is logged in.", "authentication_error", "not_authenticated"),
    402: (
        "Declined",
        "The provider refused, for good; what was reserved is free again.",
        "provider_error",
        "declined",
    ),
    403: (
        "NotPermitted",
        "Not permitted, or no CSRF token was sent.",
        "permission_error",
        "permission_denied",
    ),
    404: ("NotFound", "It isn't there, or isn't yours.", "not_found", "not_found"),
    405: ("MethodNotAllowed", "There is no such method here.", "invalid_request", "method_not_allowed"),
    406: ("NotAcceptable", "Only JSON is answered.", "invalid_request", "not_acceptable"),
    409: (
        "Conflict",
        "The state forbids it, or the same is being worked on; with `Retry-After`, trying again makes sense.",
        "conflict",
        "operation_in_progress",
    ),
    411: (
        "LengthRequired",
        "A body came without a `Content-Length`; nothing was done.",
        "invalid_request",
        "length_required",
    ),
    413: ("BodyTooLarge", "The body is larger than 64 KiB.", "invalid_request", "body_too_large"),
    415: ("NotJson", "Only JSON is read.", "invalid_request", "unsupported_media_type"),
    422: (
        "Refused",
        "The `Idempotency-Key` was used for another request, or there is card data in this one.",
        "idempotency_error",
        "idempotency_mismatch",
    ),
    429: ("TooManyRequests", "Tried too often.", "throttled", "too_many_authorizations"),
    501: (
        "NotConfigured",
        "The shop has not set up what can be paid.",
        "server_error",
        "no_payable_resolver",
    ),
    503: (
        "Unavailable",
        "The provider or the database is away; nothing was done.",
        "provider_error",
        "provider_unavailable",
    ),
}

_MESSAGES: Final = {
    "exceeds_remaining": "120.00 EUR is more than the 100.00 EUR left to pay.",
    "operation_in_progress": "Refund, 15.00 EUR is in progress. Ask again in a moment.",
    "idempotency_mismatch": "This key was used for another request.",
    "declined": "The card was declined.",
}
_BLAMED: Final = {"exceeds_remaining": "amount", "idempotency_mismatch": "Idempotency-Key"}


def error_reference(status: int) -> dict[str, str]:
    """Return the reference to the answer that an error with this status is."""
    return {"$ref": f"#/components/responses/{_TEXTS[status][0]}"}


def error_responses() -> dict[str, Any]:
    """Return all answers that are errors, by the names under which they are referred to."""
    return {text[0]: _response(status) for status, text in _TEXTS.items()}


def _response(status: int) -> dict[str, Any]:
    _name, description, kind, code = _TEXTS[status]
    message = _MESSAGES.get(code, description)
    blamed = [{"field": _BLAMED[code], "code": code, "message": message}] if code in _BLAMED else []
    example = {"type": kind, "code": code, "message": message, "errors": blamed}
    response: dict[str, Any] = {
        "description": description,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Error"},
                "examples": {code: {"value": example}},
            }
        },
    }
    if status in (409, 429, 503):
        response["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    return response
