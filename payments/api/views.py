"""The one base of all views: every policy of DRF is set here, so that none comes from the project.

What a verb leaves uncertain is answered with 202. Views are exempt from `ATOMIC_REQUESTS`, on every database, since a
provider can't be called inside a transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypedDict, TypeVar

from django.apps import apps
from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework import authentication, exceptions, negotiation, renderers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import DEFAULTS, APISettings
from rest_framework.views import APIView

from payments.addresses import address_of
from payments.api.errors import RETRY_SOON, exception_handler
from payments.api.idempotency import IdempotentPost
from payments.api.parsers import JSONParser, JSONRenderer, check_body_is_readable, check_no_card_data
from payments.api.serializers import InputSerializer, NoInput, OutputSerializer, if_found
from payments.exceptions import InputError, OutcomeUnknownError
from payments.models import PaymentOperation, PaymentSession
from payments.redaction import log_answer
from payments.services import Actor, reading
from payments.services.idempotency import (
    Claims,
    collecting_claims,
    minding_access,
    outcome_unknown,
    reconnecting,
    recorded,
)
from payments.services.operations import raise_for_outcome
from payments.states import EventSource, OperationKind
from payments.users import user_of

# Given settings of its own, an APISettings object doesn't look at the project's; everything else is DRF's default.
_OWN: Final[Any] = {"URL_FORMAT_OVERRIDE": None, "FORMAT_SUFFIX_KWARG": None}
ISOLATED_SETTINGS: Final[Any] = APISettings(_OWN, DEFAULTS)


class ContentNegotiation(negotiation.DefaultContentNegotiation):
    """A choice by the Accept header alone, so that no query parameter is taken for a format."""

    settings = ISOLATED_SETTINGS


class BrowsableRenderer(renderers.BrowsableAPIRenderer):
    """JSON as a page, for an operator's browser."""

    def get_default_renderer(self, view: Any) -> renderers.BaseRenderer:
        """Fill the page with JSON."""
        return JSONRenderer()

    def get_context(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what the page shows: no link asks for a format by a parameter, which no list knows."""
        context: dict[str, Any] = super().get_context(*args, **kwargs)
        return context | {"api_settings": ISOLATED_SETTINGS}


def browsable_renderers() -> list[renderers.BaseRenderer]:
    """Return the page renderer where the project has DRF's templates, or nothing."""
    return [BrowsableRenderer()] if apps.is_installed("rest_framework") else []


class SessionAuthentication(authentication.SessionAuthentication):
    """Django's session. A visitor who isn't logged in needs no CSRF token: there is nothing to ride on."""

    challenge: Final = 'Session realm="payments"'

    def authenticate_header(self, request: Request) -> str:
        """Return a challenge, so that DRF answers 401 and not 403."""
        return self.challenge

    def enforce_csrf(self, request: Request) -> None:
        """Refuse an unsafe request without a CSRF token, under a code of its own."""
        try:
            super().enforce_csrf(request)
        except exceptions.PermissionDenied as error:
            raise exceptions.PermissionDenied(str(error.detail), code="csrf_failed") from error


def authenticators(paths: tuple[str, ...] | None) -> list[authentication.BaseAuthentication]:
    """Build the authentication classes at these dotted paths, or the session's where none are configured."""
    if paths is None:
        return [SessionAuthentication()]
    return [import_string(path)() for path in paths]


RowT = TypeVar("RowT")


@dataclass(frozen=True, kw_only=True)
class VerbResult(Generic[RowT]):
    """The row that a verb has returned, or None where it must be read, and the id of an operation left open."""

    row: RowT | None = None
    open_operation: str | None = None


def run_verb(verb: Callable[[], RowT]) -> VerbResult[RowT]:
    """Run a verb, which may claim many operations, and look which of them it left open.

    An operation is left open where the provider's answer is unknown, and where it said that it will answer later.
    What other requests left open on the same row doesn't count.
    """
    with collecting_claims() as claims:
        try:
            row = verb()
        except OutcomeUnknownError as error:
            return VerbResult(open_operation=operation_of(error))
    return VerbResult(row=row, open_operation=left_open(claims))


def left_open(claims: Claims, *kinds: OperationKind) -> str | None:
    """Return the id of the newest of these operations (default: of any kind) that is still open, or None."""
    rows = [row for row in recorded(claims) if row.is_open and (not kinds or row.kind in kinds)]
    return max(rows, key=lambda row: (row.created_at, row.pk)).pk if rows else None


def outcome_of(operation: PaymentOperation) -> str | None:
    """Return the operation that an earlier try of the request had claimed, if it is still open.

    Raises DeclinedError as the verb would have; a declined authorization is no error.
    """
    if operation.is_open:
        return str(operation.pk)
    if operation.kind != OperationKind.AUTHORIZE:
        raise_for_outcome(operation)
    return None


def operation_of(error: OutcomeUnknownError) -> str:
    """Return the operation whose outcome is unknown; raise the error again where none was left open."""
    if error.operation_id is None:
        raise error
    return error.operation_id


def session_after(result: VerbResult[PaymentSession], session_id: str) -> PaymentSession:
    """Return a session as a verb has left it; it is read only where the verb's row doesn't say what is in progress."""
    row = result.row
    if row is not None and "in_progress" in vars(row):
        return row
    return reconnecting(lambda: if_found(reading.find_session_now(session_id)))


logger = logging.getLogger("payments.api")


class OriginArguments(TypedDict):
    """The arguments that tell a verb where a change comes from."""

    actor: Actor
    source: str
    by_payer: bool


class PaymentsView(APIView):
    """The base of all views: it parses and renders JSON, answers errors in one shape, and passes on who asked."""

    source: ClassVar[EventSource]
    is_for_payers: ClassVar[bool] = False

    calling_methods: ClassVar[frozenset[str]] = frozenset({"POST", "PUT", "PATCH", "DELETE"})
    """The methods that may call a provider. A GET that does is counted as a request that changes something."""

    bodies: ClassVar[Mapping[str, type[InputSerializer]]] = {}
    """What each method reads; nothing where it isn't named."""

    statuses: ClassVar[Mapping[str, Sequence[int]]] = {}
    """What each method answers with where all is well; 200 where it isn't named, and 204 for a deletion."""

    outputs: ClassVar[Mapping[str, type[OutputSerializer]]] = {}
    """What the answers of each method show."""

    is_list: ClassVar[bool] = False
    """Whether a GET shows many rows."""

    unstored: ClassVar[frozenset[str]] = frozenset()
    """The keys of an answer that are never stored with it: `recall` tells them anew."""

    earlier: PaymentOperation | None = None
    """What an earlier try of the same request had claimed."""

    of_all_tries: QuerySet[PaymentOperation] = PaymentOperation.objects.none()
    """What all tries of the same request have claimed."""

    settings = ISOLATED_SETTINGS
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)
    permission_classes: tuple[type[BasePermission], ...] = ()
    throttle_classes = ()
    content_negotiation_class = ContentNegotiation
    metadata_class = None
    schema: Any = None  # set by payments.api.openapi, where the project has drf-spectacular
    versioning_class = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view function, exempt from ATOMIC_REQUESTS."""
        view = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    claims: Claims = {}
    """The operations that the request has claimed so far, which may have done something."""

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Prepare the view, with every POST heeding an `Idempotency-Key`."""
        super().setup(request, *args, **kwargs)
        post = getattr(self, "post", None)
        if post is not None:
            vars(self)["post"] = IdempotentPost(self, post)

    @method_decorator(sensitive_post_parameters())
    @sensitive_variables()
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer a request, knowing what it has claimed.

        No report of an error shows what it holds: a payer's token, or the secret of a collection.
        """
        with minding_access(), collecting_claims() as self.claims:
            return super().dispatch(request, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Response:
        """Answer an error; one of the database says of nothing that was claimed that it wasn't done."""
        if isinstance(exc, OperationalError | InterfaceError) and self.claims:
            logger.error("The database failed behind a call to a provider.", exc_info=exc)
            exc = outcome_unknown(next(reversed(self.claims)))
        return super().handle_exception(exc)

    def perform_authentication(self, request: Request) -> None:
        """Recognize who asks."""
        self.actor  # noqa: B018 - raises for what isn't a user

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let in who may come in, and turn away what can't be read, and card data."""
        super().initial(request, *args, **kwargs)
        check_body_is_readable(request)
        check_no_card_data(request, kwargs)

    def principal(self) -> str | None:
        """Return whose requests these are, for telling a repeated one: a user's, or nobody's."""
        actor = self.actor
        return None if actor is None else f"user:{actor.pk}"

    def check_access(self, **kwargs: str) -> None:
        """Raise unless the asker may still see what the address names."""

    def recall(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a stored answer as it is given again: no more than what a new one would show the asker now."""
        return body

    def run_verb(self, verb: Callable[[], RowT], *, kind: OperationKind) -> VerbResult[RowT]:
        """Run a verb, unless an earlier try of the request did, and look what it left open."""
        if self.earlier is not None and self.earlier.kind == kind:
            return VerbResult(open_operation=outcome_of(self.earlier))
        return run_verb(verb)

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return what recognizes the user: the classes that the settings name, or Django's session."""
        return authenticators(self.authentication_paths())

    def authentication_paths(self) -> tuple[str, ...] | None:
        """Return the dotted paths of the face's authentication classes, or None for the default."""
        raise NotImplementedError

    def get_authenticate_header(self, request: Request) -> str:
        """Return a challenge in any case, as 401 needs one and 403 would say something else."""
        return super().get_authenticate_header(request) or SessionAuthentication.challenge

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """Answer with the methods that there are, in `Allow`, and nothing more."""
        return Response(status=204)

    def get_exception_handler(self) -> Callable[..., Response | None]:
        """Return the app's own handler."""
        return exception_handler

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Forbid every cache to keep the answer, and have Django log what may be logged."""
        final = super().finalize_response(request, response, *args, **kwargs)
        final["Cache-Control"] = "no-store"
        log_answer(request, final)
        return final

    @cached_property
    def actor(self) -> Any:
        """The user who asks, or None for somebody unknown; what stands for no user may not come in."""
        user: Any = self.request.user  # None, where the project's UNAUTHENTICATED_USER is None
        try:
            return user_of(user, field="actor")
        except InputError as error:
            logger.warning(
                "An authentication class recognized what isn't a user: %s", type(user).__qualname__
            )
            raise AuthenticationFailed(error.message, code=error.code) from error

    def origin(self) -> OriginArguments:
        """Return what every verb is told about the request."""
        return {"actor": self.actor, "source": self.source, "by_payer": self.is_for_payers}

    def read(self, **context: Any) -> dict[str, Any]:
        """Return the validated body; raise for anything that isn't declared."""
        serializer_class = self.bodies.get(str(self.request.method), NoInput)
        serializer = serializer_class(data=self.request.data, context=context)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def accepted(self, body: dict[str, Any], *, name: str, key: str) -> Response:
        """Return the answer to what isn't known to have happened yet, with the address of the view that tells later."""
        location = address_of(name, key, request=self.request)
        return Response(body, status=202, headers={"Location": location, "Retry-After": str(RETRY_SOON)})
