"""For every code of the API that docs/errors.md describes, a request that is answered with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import OperationalError, transaction
from django.db.models import F, QuerySet
from django.test import Client
from django.test.utils import override_settings
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from payments import services
from payments.conf import DEFAULT_THROTTLES
from payments.models import PaymentCollection, PaymentOperation, PaymentProvider, PaymentSession
from payments.providers import (
    AuthorizeRequest,
    AuthorizeResult,
    CancelRequest,
    CancelResult,
    CaptureResult,
    InitiateResult,
    MovementFact,
    RetrieveResult,
    SessionFact,
)
from payments.states import EventSource, MovementKind, MovementStatus, Outcome, SessionStatus
from payments.testing import Script, ScriptedProvider, configured_provider, scripted_provider
from payments.testing.factories import RefundReasonFactory
from tests.api.client import ROOT, Answer, Visitor
from tests.api.conftest import MakeOrder
from tests.shop.models import Order

SESSIONS: Final = "storefront/payment-collections/{}/payment-sessions/"
STAFF: Final = "staff/payment-collections/"


class RefusesAll(BaseAuthentication):
    """Recognize nobody, and say so."""

    def authenticate(self, request: Request) -> None:
        """Refuse."""
        raise AuthenticationFailed("This token is too old.")


class Foreign(BaseAuthentication):
    """Recognize an order, where a user is wanted."""

    def authenticate(self, request: Request) -> tuple[Any, None]:
        """Return the order."""
        return Order(), None


class Breaks(BaseAuthentication):
    """Fail, as a service that tells users apart may."""

    def authenticate(self, request: Request) -> None:
        """Fail."""
        raise APIException


@dataclass(frozen=True, kw_only=True)
class World:
    """Hold the visitors, the collection of the order A-1 over 100.00 euros, and what can be set."""

    guest: Visitor
    boss: Visitor
    collection: PaymentCollection
    script: Script
    settings: Any
    monkeypatch: pytest.MonkeyPatch
    make_order: MakeOrder

    def create(self, **body: Any) -> Answer:
        """Ask for a session."""
        return self.guest.post(SESSIONS.format(self.collection.pk), {"provider_id": "scripted"} | body)

    def session(self, **values: Any) -> PaymentSession:
        """Create a session."""
        return services.create_payment_session(
            self.collection, provider_id="scripted", by_payer=True, **values
        )

    def path(self, session: PaymentSession | None = None) -> str:
        """Return the address of a session, or of a new one."""
        return f"storefront/payment-sessions/{(session or self.session()).pk}/"

    def payment_path(self, *, captured: bool = False) -> str:
        """Return the address of a new payment, for operators."""
        payment = services.authorize_payment_session(self.session()).payment
        assert payment is not None
        if captured:
            services.capture_payment(payment)
        return f"staff/payments/{payment.pk}/"

    def operation_in_attention(self) -> PaymentOperation:
        """Return an operation that a person has to decide about: a payer was faster than a cancelation."""
        path = self.path()

        def cancel_meanwhile(request: AuthorizeRequest) -> AuthorizeResult:
            QuerySet(PaymentCollection).update(
                status="canceled", canceled_at=timezone.now(), version=F("version") + 1
            )
            return AuthorizeResult(
                outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
            )

        self.script.next("authorize", cancel_meanwhile)
        self.guest.post(f"{path}authorize/")
        return PaymentOperation.objects.get(status="attention")

    def configure(self, **values: Any) -> None:
        """Change the app's settings."""
        self.settings.PAYMENTS = {**self.settings.PAYMENTS, **values}


def amount(value: Any) -> Callable[[World], Answer]:
    return lambda world: world.create(amount=value)


def opened(**body: Any) -> Callable[[World], Answer]:
    return lambda world: world.guest.post("storefront/payment-collections/", body)


def created(**body: Any) -> Callable[[World], Answer]:
    return lambda world: world.boss.post(STAFF, {"amount": "1.00", "currency_code": "eur"} | body)


def listed(**query: Any) -> Callable[[World], Answer]:
    return lambda world: world.boss.get(STAFF, **query)


def plain(method: str, path: str, body: str = "", **headers: str) -> Callable[[World], Answer]:
    def send(world: World) -> Answer:
        response: Any = Client().generic(method, f"{ROOT}/{path}", body, "text/plain", headers=headers)
        return Answer(
            status=response.status_code,
            body=json.loads(response.content),
            headers=dict(response.headers),
            raw=response.content,
        )

    return send


def canceled_payment(world: World) -> Answer:
    path = world.payment_path()
    return [world.boss.post(f"{path}{verb}/") for verb in ("cancel", "capture")][-1]


def canceled_session(world: World) -> Answer:
    path = world.path()
    return [world.guest.post(f"{path}{verb}/") for verb in ("cancel", "authorize")][-1]


def busy_session(world: World) -> Answer:
    path = world.path()
    world.script.next("authorize", TimeoutError())
    return [world.guest.post(f"{path}authorize/") for _ in range(2)][-1]


def expired_session(world: World) -> Answer:
    session = world.session()
    PaymentSession.objects.filter(pk=session.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    return world.guest.post(f"{world.path(session)}authorize/")


def canceled_collection(world: World) -> Answer:
    services.cancel_payment_collection(world.collection)
    return world.create()


def taken_money(world: World) -> Answer:
    session = services.authorize_payment_session(world.session())
    assert session.payment is not None
    services.capture_payment(session.payment)
    return world.boss.post(f"staff/payment-sessions/{session.pk}/cancel/")


def other_currency(world: World) -> Answer:
    world.payment_path()
    Order.objects.update(currency_code="usd")
    return world.guest.post("storefront/payment-collections/", {"reference": "A-1"})


def lower_total(world: World) -> Answer:
    world.payment_path()
    Order.objects.update(total="50.00")
    return world.guest.post("storefront/payment-collections/", {"reference": "A-1"})


def vanished_payable(world: World) -> Answer:
    order = world.make_order("B-2")
    resolver = f"{__name__}.resolve_vanishing"
    world.configure(PAYABLE_RESOLVER=resolver)
    return world.guest.post("storefront/payment-collections/", {"reference": order.number})


def resolve_vanishing(_request: Any, reference: str) -> services.ResolvedPayable:
    order = Order.objects.get(number=reference)
    Order.objects.filter(pk=order.pk).delete()
    return services.ResolvedPayable(payable=order, amount=order.total, currency_code="eur", customer=None)


def the_shops_session(world: World) -> Answer:
    session = services.create_payment_session(world.collection, provider_id="scripted")
    return world.guest.post(f"{world.path(session)}cancel/")


def installment(world: World) -> Answer:
    [session] = services.create_installment_plan(
        world.collection, provider_id="scripted", count=1, interval="month"
    )
    return world.guest.post(f"{world.path(session)}cancel/")


def withheld(world: World) -> Answer:
    with configured_provider("cash", {"BACKEND": "payments.providers.system.SystemProvider"}):
        return world.create(provider_id="cash")


def pretending(world: World) -> Answer:
    with scripted_provider(), override_settings(PAYMENTS={**settings.PAYMENTS, "ALLOW_PRETEND_MONEY": False}):
        return world.create(provider_id="scripted")


def lacking(world: World) -> Answer:
    with scripted_provider(lacks={"update"}):
        return world.guest.patch(world.path(), {"amount": "1.00"})


def indivisible(world: World) -> Answer:
    world.monkeypatch.setattr(ScriptedProvider, "amount_step", lambda _self, _currency_code: Decimal(1))
    return world.create(amount="10.50")


def disabled(world: World) -> Answer:
    world.session()
    services.disable_provider(PaymentProvider.objects.get(pk="scripted"))
    return world.create()


def unconfigured(world: World) -> Answer:
    path = world.path()
    providers = {
        name: entry for name, entry in world.settings.PAYMENTS["PROVIDERS"].items() if name != "scripted"
    }
    world.configure(PROVIDERS=providers)
    return world.guest.post(f"{path}authorize/")


def without_csrf_token(world: World) -> Answer:
    visitor = Visitor()
    visitor.client = Client(enforce_csrf_checks=True)
    visitor.client.force_login(get_user_model().objects.create_user("kim"))
    return visitor.post("storefront/payment-collections/", {"reference": "A-1"})


def under_one_key(world: World) -> Answer:
    world.guest.headers |= {"Idempotency-Key": "k"}
    return [world.create(amount=amount) for amount in ("1.00", "2.00")][-1]


def under_no_key(world: World) -> Answer:
    world.guest.headers |= {"Idempotency-Key": "schlüssel"}
    return world.create()


def throttled(name: str, tries: Callable[[World], Answer]) -> Callable[[World], Answer]:
    def run(world: World) -> Answer:
        cache.clear()
        others = [each for each in DEFAULT_THROTTLES if each.endswith("_PER_CLIENT")]
        world.configure(THROTTLES={**dict.fromkeys(others), name: "1/hour"})
        return tries(world)

    return run


def two_sessions(world: World) -> Answer:
    return [world.create() for _ in range(2)][-1]


def two_authorizations(world: World) -> Answer:
    sessions = [world.create(amount="10.00").body["id"] for _ in range(2)]
    return [world.guest.post(f"storefront/payment-sessions/{key}/authorize/") for key in sessions][-1]


def two_declines(world: World) -> Answer:
    world.script.next("authorize", AuthorizeResult(outcome=Outcome.DECLINED))
    return two_authorizations(world)


def two_setups(world: World) -> Answer:
    customer = Visitor(user=get_user_model().objects.create_user("sam"))
    path = "storefront/payment-providers/scripted/saved-payment-methods/"
    return [customer.post(path) for _ in range(2)][-1]


def two_updates(world: World) -> Answer:
    path = f"storefront/payment-sessions/{world.create().body['id']}/"
    return [world.guest.patch(path, {"amount": amount}) for amount in ("10.00", "20.00")][-1]


def declined(world: World) -> Answer:
    world.script.next("initiate", InitiateResult(outcome=Outcome.DECLINED))
    return world.create()


def not_sent(world: World) -> Answer:
    world.script.next("initiate", InitiateResult(outcome=Outcome.NOT_SENT))
    return world.create()


def unknown_sync(world: World) -> Answer:
    path = world.payment_path()
    world.script.next("retrieve", RetrieveResult(outcome=Outcome.UNKNOWN))
    return world.boss.post(f"{path}sync/")


def locked(world: World) -> Answer:
    def fail(*_arguments: Any, **_values: Any) -> None:
        raise OperationalError("database is locked")

    world.monkeypatch.setattr(services, "create_payment_session", fail)
    return world.create()


def in_a_transaction(world: World) -> Answer:
    def inside(*_arguments: Any, **_values: Any) -> None:
        with transaction.atomic():
            services.cancel_payment_collection(world.collection)

    world.monkeypatch.setattr(services, "create_payment_session", inside)
    return world.create()


def recognized_by(kind: type[BaseAuthentication]) -> Callable[[World], Answer]:
    def run(world: World) -> Answer:
        world.configure(STOREFRONT_AUTHENTICATION_CLASSES=[f"{kind.__module__}.{kind.__qualname__}"])
        return Visitor().get("storefront/payment-providers/")

    return run


def not_permitted(world: World) -> Answer:
    return Visitor(user=get_user_model().objects.create_user("kim", is_staff=True)).get(STAFF)


def resolved(**values: Any) -> Callable[[World], Answer]:
    def run(world: World) -> Answer:
        Order.objects.update(**values)
        return world.guest.post("storefront/payment-collections/", {"reference": "A-1"})

    return run


def without_resolver(world: World) -> Answer:
    world.configure(PAYABLE_RESOLVER=None)
    return world.guest.post("storefront/payment-collections/", {"reference": "A-1"})


def decided(world: World, *, has_happened: bool, times: int = 1) -> Answer:
    operation = world.operation_in_attention()
    path, body = (
        f"staff/operations/{operation.pk}/resolve/",
        {"has_happened": has_happened, "reason": "Seen."},
    )
    return [world.boss.post(path, body) for _ in range(times)][-1]


def booked_report(world: World) -> Answer:
    """Resolve what a provider has reported with the reference of what it is."""
    session = world.session()
    fact = SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, charged_back_amount=Decimal(1))
    services.record_fact(session, fact, origin=services.Origin(source=EventSource.WEBHOOK))
    report = PaymentOperation.objects.get(status="attention")
    body = {"has_happened": True, "reason": "Seen.", "provider_reference": "tx_9"}
    return world.boss.post(f"staff/operations/{report.pk}/resolve/", body)


def marked_as_paid(**body: Any) -> Callable[[World], Answer]:
    return lambda world: world.boss.post(f"{STAFF}{world.collection.pk}/mark-as-paid/", body)


def marked_canceled_session_as_paid(world: World) -> Answer:
    session = services.cancel_payment_session(world.session())
    return marked_as_paid(payment_session_id=session.pk)(world)


def repeated_refund(world: World) -> Answer:
    path = world.payment_path(captured=True)
    world.script.next("refund", TimeoutError())
    return [world.boss.post(f"{path}refund/", {"amount": "20.00"}) for _ in range(2)][-1]


def corrected(said_first: dict[str, Any] | None, **said: Any) -> Callable[[World], Answer]:
    """Correct what was said first of a capture, or say of one that nobody has decided about that it is corrected."""

    def run(world: World) -> Answer:
        first = said_of_lost_movement(**({"age": 0} if said_first is None else said_first))(world)
        operation = PaymentOperation.objects.get(kind="capture")
        if said.pop("refunded", False):
            world.boss.post(f"staff/payments/{operation.payment_id}/refund/", {"amount": "60.00"})
        assert first.status == (409 if said_first is None else 200)
        body = {"has_happened": False, "reason": "Another order's."} | said
        return world.boss.post(f"staff/operations/{operation.pk}/correct/", body)

    return run


def said_of_lost_movement(
    kind: str = "capture", *, known: str = "", is_ours: bool = False, age: int = 11, **said: Any
) -> Callable[[World], Answer]:
    """Say what became of a capture or refund of 60.00 euros, `age` minutes old, whose answer got lost.

    `known` is the amount of another one that has succeeded under the reference `tx_9`, one of ours or the provider's.
    """

    def run(world: World) -> Answer:
        path = world.payment_path(captured=kind == "refund")
        world.script.next("capture" if kind == "capture" else "refund", TimeoutError())
        world.boss.post(f"{path}{kind}/", {"amount": "60.00"})
        operation = PaymentOperation.objects.get(status="unknown")
        PaymentOperation.objects.update(unclear_since=F("unclear_since") - timedelta(minutes=age))
        if known and is_ours:
            done = CaptureResult(
                outcome=Outcome.SUCCEEDED,
                amount=Decimal(known),
                currency_code="eur",
                provider_reference="tx_9",
            )
            world.script.next("capture", done)
            world.boss.post(f"{path}capture/", {"amount": known})
        elif known:
            movement = MovementFact(
                kind=MovementKind(kind),
                status=MovementStatus.SUCCEEDED,
                amount=Decimal(known),
                currency_code="eur",
                provider_reference="tx_9",
            )
            fact = SessionFact(currency_code="eur", movements=(movement,))
            services.record_fact(operation.session, fact, origin=services.Origin(source=EventSource.WEBHOOK))
        body = {"has_happened": True, "reason": "Seen."} | said
        return world.boss.post(f"staff/operations/{operation.pk}/resolve/", body)

    return run


def paid_while_others_are_canceled(world: World) -> Answer:
    first, second = (world.session(amount=amount) for amount in ("60.00", "40.00"))

    def pay_meanwhile(request: CancelRequest) -> CancelResult:
        other = second if request.session_id == first.pk else first
        fact = SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED)
        services.record_fact(other, fact, origin=services.Origin(source=EventSource.WEBHOOK))
        return CancelResult(outcome=Outcome.SUCCEEDED)

    world.script.next("cancel", pay_meanwhile)
    return world.boss.post(f"{STAFF}{world.collection.pk}/cancel/")


def reason_in_use(world: World) -> Answer:
    reason = RefundReasonFactory.create()
    path = world.payment_path(captured=True)
    world.boss.post(f"{path}refund/", {"refund_reason_id": reason.pk})
    return world.boss.send("DELETE", f"staff/refund-reasons/{reason.pk}/")


def nothing_held(world: World) -> Answer:
    return world.boss.post(f"{world.payment_path(captured=True)}cancel/")


def paid_already(world: World) -> Answer:
    world.payment_path()
    return world.create()


def below_what_is_held(world: World) -> Answer:
    world.payment_path()
    return world.boss.patch(f"{STAFF}{world.collection.pk}/", {"amount": "1.00"})


def same_label(world: World) -> Answer:
    return world.boss.post("staff/refund-reasons/", {"label": RefundReasonFactory.create(label="Late").label})


CASES: Final[dict[tuple[str, int], Callable[[World], Answer]]] = {
    ("invalid_input", 400): opened(one=1, two=2),
    ("unknown_field", 400): opened(reference="A-1", amount="1.00"),
    ("required", 400): opened(),
    ("null", 400): opened(reference=None),
    ("blank", 400): opened(reference=""),
    ("invalid", 400): opened(reference=[]),
    ("max_length", 400): opened(reference="x" * 256),
    ("null_characters_not_allowed", 400): opened(reference="A\0"),
    ("surrogate_characters_not_allowed", 400): opened(reference="\ud800"),
    ("invalid_character", 400): lambda world: world.create(data={"token": "\0"}),
    ("not_finite", 400): lambda world: world.guest.post(
        SESSIONS.format(world.collection.pk), '{"provider_id": "scripted", "data": {"token": 1e999}}'
    ),
    ("too_deep", 400): lambda world: world.create(data={"token": json.loads("[" * 20 + "]" * 20)}),
    ("not_an_object", 400): lambda world: world.create(data=[]),
    ("invalid_json", 400): lambda world: world.guest.post(SESSIONS.format(world.collection.pk), "{"),
    ("float_not_allowed", 400): amount(1.5),
    ("not_positive", 400): amount("0"),
    ("too_large", 400): amount("999999999999999"),
    ("too_many_decimals", 400): amount("0.005"),
    ("not_a_multiple", 400): indivisible,
    ("nothing_left", 400): paid_already,
    ("exceeds_remaining", 400): amount("100.01"),
    ("nothing_to_change", 400): lambda world: world.guest.patch(world.path(), {}),
    ("unknown_provider", 400): lambda world: world.create(provider_id="nobody"),
    ("provider_disabled", 400): disabled,
    ("provider_not_offered", 400): withheld,
    ("pretend_money", 400): pretending,
    ("unknown_data_key", 400): lambda world: world.create(data={"capture_method": "manual"}),
    ("not_supported", 400): lacking,
    ("return_url_not_allowed", 400): lambda world: world.create(return_url="https://elsewhere.example/"),
    ("unknown_reference", 400): opened(reference="Z-9"),
    ("unknown_payable", 400): created(payable={"type": "shop.order", "id": "0"}),
    ("unknown_payable", 404): vanished_payable,
    ("invalid_idempotency_key", 400): under_no_key,
    ("not_authenticated", 401): lambda world: Visitor().get(STAFF),
    ("authentication_failed", 401): recognized_by(RefusesAll),
    ("permission_denied", 403): not_permitted,
    ("csrf_failed", 403): without_csrf_token,
    ("not_found", 404): lambda world: Visitor().get(f"storefront/payment-collections/{world.collection.pk}/"),
    ("method_not_allowed", 405): lambda world: world.guest.send("DELETE", world.path()),
    ("not_acceptable", 406): plain("GET", "storefront/payment-providers/", Accept="text/csv"),
    ("length_required", 411): plain(
        "POST", "storefront/payment-collections/", **{"Transfer-Encoding": "chunked"}
    ),
    ("body_too_large", 413): opened(reference="x" * 70_000),
    ("unsupported_media_type", 415): plain("POST", "storefront/payment-collections/", "reference=A-1"),
    ("operation_in_progress", 409): busy_session,
    ("invalid_transition", 409): canceled_session,
    ("collection_canceled", 409): canceled_collection,
    ("session_expired", 409): expired_session,
    ("already_authorized", 409): paid_while_others_are_canceled,
    ("made_by_shop", 409): the_shops_session,
    ("planned", 409): installment,
    ("already_captured", 409): taken_money,
    ("payment_canceled", 409): canceled_payment,
    ("nothing_to_cancel", 409): nothing_held,
    ("currency_changed", 409): other_currency,
    ("amount_changed", 409): lower_total,
    ("idempotency_mismatch", 422): under_one_key,
    ("card_data_refused", 422): lambda world: world.create(data={"token": "4242 4242 4242 4242"}),
    ("too_many_sessions", 429): throttled("SESSIONS_PER_COLLECTION", two_sessions),
    ("too_many_authorizations", 429): throttled("AUTHORIZATIONS_PER_COLLECTION", two_authorizations),
    ("too_many_declines", 429): throttled("DECLINES_PER_CLIENT", two_declines),
    ("too_many_setups", 429): throttled("METHOD_SETUPS_PER_CLIENT", two_setups),
    ("too_many_updates", 429): throttled("UPDATES_PER_COLLECTION", two_updates),
    ("throttled", 429): throttled("REQUESTS_PER_CLIENT", two_sessions),
    ("declined", 402): declined,
    ("provider_unavailable", 503): not_sent,
    ("provider_not_configured", 503): unconfigured,
    ("outcome_unknown", 503): unknown_sync,
    ("database_unavailable", 503): locked,
    ("unknown_user", 401): recognized_by(Foreign),
    ("open_transaction", 500): in_a_transaction,
    ("error", 500): recognized_by(Breaks),
    ("payable_misconfigured", 500): resolved(currency_code="xxq"),
    ("nothing_to_pay", 500): resolved(total="0"),
    ("no_payable_resolver", 501): without_resolver,
    ("below_authorized", 400): below_what_is_held,
    ("unknown_currency", 400): created(currency_code="xxq"),
    ("unknown_customer", 400): created(customer_id="0"),
    ("unknown_refund_reason", 400): lambda world: world.boss.post(
        f"{world.payment_path(captured=True)}refund/", {"refund_reason_id": "refr_0"}
    ),
    ("unknown_session", 400): marked_as_paid(payment_session_id="payses_0"),
    ("session_not_open", 409): marked_canceled_session_as_paid,
    ("received_later", 400): marked_as_paid(received_at="2999-01-01T00:00:00Z"),
    ("invalid_moment", 400): marked_as_paid(received_at="yesterday"),
    ("not_unique", 400): same_label,
    ("unknown_parameter", 400): listed(nonsense="1"),
    ("invalid_value", 400): listed(created_at_gte="yesterday"),
    ("invalid_cursor", 400): listed(cursor="x"),
    ("invalid_limit", 400): listed(limit="0"),
    ("invalid_order", 400): listed(order="colour"),
    ("refund_reason_in_use", 409): reason_in_use,
    ("not_in_attention", 409): lambda world: decided(world, has_happened=True, times=2),
    ("already_recorded", 409): lambda world: decided(world, has_happened=False),
    ("not_correctable", 409): corrected(None),
    ("nothing_to_correct", 409): corrected({"has_happened": False}),
    ("depended_on", 409): corrected({}, refunded=True),
    ("possible_repetition", 409): repeated_refund,
    ("too_early", 409): said_of_lost_movement(age=9),
    ("possibly_booked", 409): said_of_lost_movement("refund", known="60.00"),
    ("amount_not_expected", 400): said_of_lost_movement(has_happened=False, amount="1.00"),
    ("exceeds_possible", 400): said_of_lost_movement(amount="100.01"),
    ("exceeds_captured", 400): said_of_lost_movement("refund", amount="100.01"),
    ("reference_not_expected", 400): booked_report,
    ("reference_has_other_amount", 400): said_of_lost_movement(known="50.00", provider_reference="tx_9"),
    ("reference_taken", 400): said_of_lost_movement(
        known="10.00", is_ours=True, amount="10.00", provider_reference="tx_9"
    ),
}
