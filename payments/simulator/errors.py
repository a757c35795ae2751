"""What the simulator answers when it refuses a request.

    ServiceError            400
        InvalidRequestError 400  malformed, or asks for more than there is
        UnauthorizedError   401
        RefusedError        402  the bank or the service declines
        NotFoundError       404
        ConflictError       409  the state forbids it

Nothing here knows of HTTP beyond the status number.
"""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """A refusal with a stable code.

    `is_stored` says whether the answer is kept under the request's idempotency key: a request that was
    never carried out (malformed, unknown intent) may be mended and sent again under the same key.
    """

    status = 400
    is_stored = False

    def __init__(
        self, code: str, message: str, *, param: str | None = None, is_stored: bool | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        if is_stored is not None:
            self.is_stored = is_stored

    def as_json(self) -> dict[str, Any]:
        """Return the `error` object of the answer."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.param is not None:
            error["param"] = self.param
        return error


class InvalidRequestError(ServiceError):
    """A request that is malformed or asks for more than there is."""


class UnauthorizedError(ServiceError):
    """A request whose API key is missing or wrong."""

    status = 401


class RefusedError(ServiceError):
    """A refusal by the bank or the service."""

    status = 402
    is_stored = True


class NotFoundError(ServiceError):
    """A request for an object that doesn't exist."""

    status = 404


class ConflictError(ServiceError):
    """A request that the object's state forbids."""

    status = 409
    is_stored = True
