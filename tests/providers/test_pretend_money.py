"""Pretend money where real is meant: no provider of it is offered, usable or believed, whatever it is called."""

from __future__ import annotations

import re
import runpy
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import F
from django.test import Client
from django.test.utils import override_settings
from django.utils import timezone

from payments import checks, services
from payments.exceptions import InputError, NotSupportedError, OutcomeUnknownError, PaymentError
from payments.models import Payment, PaymentOperation, PaymentSession, WebhookEvent
from payments.providers import (
    CancelResult,
    Failure,
    MovementFact,
    RetrieveResult,
    SessionFact,
    WebhookRequest,
    WebhookResult,
    get_provider,
)
from payments.services.background.inbox import process_event, receive_webhook
from payments.services.ledger.resolutions import RESOLVABLE_AFTER
from payments.services.operations import foresee
from payments.simulator import SimulatorService
from payments.simulator.runtime import DEFAULT_API_KEY, DEFAULT_WEBHOOK_SECRET
from payments.simulator.webhooks import sign
from payments.states import (
    EventSource,
    MovementKind,
    MovementStatus,
    OperationStatus,
    Outcome,
    SessionStatus,
    WebhookEventStatus,
)
from payments.testing import Script, simulator_settings
from tests.packaging.repository import ROOT
from tests.simulator.client import Merchant

pytestmark = pytest.mark.database_independent

SIMULATOR = "payments.providers.simulator.SimulatorProvider"
STRIPE = "payments.providers.stripe.StripeProvider"
PAYPAL = "payments.providers.paypal.PayPalProvider"
APP = {"client_id": "x", "client_secret": "y", "webhook_ids": ["1"]}
ENTRIES: dict[str, tuple[dict[str, Any], bool]] = {
    "system": ({"BACKEND": "payments.providers.system.SystemProvider"}, True),
    "simulator": ({"BACKEND": SIMULATOR, "OPTIONS": {"api_key": "own", "webhook_secrets": ["own"]}}, False),
    "stripe": (
        {"BACKEND": STRIPE, "OPTIONS": {"api_key": "sk_live_x", "webhook_secrets": ["whsec_x"]}},
        True,
    ),
    "stripe, test key": (
        {"BACKEND": STRIPE, "OPTIONS": {"api_key": "rk_test_x", "webhook_secrets": ["whsec_x"]}},
        False,
    ),
    "stripe, test mode": (
        {"BACKEND": STRIPE, "OPTIONS": {"api_key": "sk_test_x", "webhook_secrets": ["w"], "livemode": False}},
        False,
    ),
    "paypal": ({"BACKEND": PAYPAL, "OPTIONS": APP}, True),
    "paypal, sandbox": ({"BACKEND": PAYPAL, "OPTIONS": {**APP, "livemode": False}}, False),
    "scripted": ({"BACKEND": "payments.testing.scripted.ScriptedProvider"}, False),
}
MEANT = ("stripe, test mode", "paypal, sandbox")
"""Whose own options say that pretend money is meant: they fail the checks, and work."""

REFUSED = [name for name, (_entry, is_real) in ENTRIES.items() if not is_real and name not in MEANT]


def setting(name: str, **more: Any) -> dict[str, Any]:
    entry = {**ENTRIES[name][0], "STOREFRONT": True}
    return {"PROVIDERS": {"system": ENTRIES["system"][0], "card": entry}, **more}


@pytest.mark.database_independent
def test_every_provider_that_comes_along_is_among_those_tried() -> None:
    found = runpy.run_path(str(ROOT / "docs" / "generate_features.py"))["_provider_classes"]()
    assert set(found) <= {name.partition(",")[0] for name in ENTRIES}


@pytest.mark.database_independent
@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("is_meant", [True, False])
def test_a_check_tells_of_pretend_money_unless_it_is_meant(name: str, is_open: bool, is_meant: bool) -> None:
    is_real = ENTRIES[name][1]
    with override_settings(DEBUG=not is_open, PAYMENTS=setting(name, ALLOW_PRETEND_MONEY=is_meant)):
        errors = [message for message in checks.check_settings() if message.is_serious()]
        warnings = [message.id for message in checks.check_deployment()]
        assert get_provider("card").moves_real_money is is_real
    is_refused = is_open and not is_meant and not is_real
    assert [message.id for message in errors] == ["payments.E025"] * is_refused
    assert all('"ALLOW_PRETEND_MONEY": True' in str(message.hint) for message in errors)
    assert ("payments.W022" in warnings) == (not is_real and not is_refused)


@pytest.mark.shows(
    "A session with pretend money, where a shop is open",
    "`pretend_money`, for anybody; payers aren't offered it",
)
@pytest.mark.django_db
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("source", EventSource)
def test_nobody_opens_a_session_with_pretend_money(name: str, source: str) -> None:
    collection = services.create_payment_collection(amount="1.00", currency_code="eur")
    with override_settings(PAYMENTS=setting(name)):
        assert not services.is_for_payers(get_provider("card"))
        assert [row.pk for row in services.list_offered_providers()] == []
        with pytest.raises(InputError) as refused:
            services.create_payment_session(collection, provider_id="card", source=source)
    assert refused.value.code == "pretend_money"


@pytest.mark.parametrize("name", MEANT)
def test_what_its_own_options_call_pretend_money_is_meant(name: str) -> None:
    with override_settings(PAYMENTS=setting(name)):
        assert services.is_for_payers(get_provider("card"))


@pytest.fixture
def session(db: None, script: Script) -> PaymentSession:
    collection = services.create_payment_collection(amount="1.00", currency_code="eur")
    return services.create_payment_session(collection, provider_id="scripted")


@pytest.fixture
def opened(session: PaymentSession) -> Iterator[PaymentSession]:
    """Have the shop open, after a session was made while nobody was to pay really."""
    with override_settings(PAYMENTS={**settings.PAYMENTS, "ALLOW_PRETEND_MONEY": False}):
        yield session


def test_what_was_opened_before_is_not_authorized_any_more(opened: PaymentSession) -> None:
    with pytest.raises(InputError, match="moves no real money"):
        services.authorize_payment_session(opened)
    assert services.cancel_payment_session(opened).status == "canceled"


@pytest.mark.shows(
    "An event about pretend money, where a shop is open", "not stored; one that came before is ignored"
)
def test_no_event_about_pretend_money_is_believed(opened: PaymentSession, script: Script) -> None:
    script.next("parse_webhook", WebhookResult(event_id="1", event_type="paid", session_id=opened.pk))
    with pytest.raises(NotSupportedError):
        receive_webhook("scripted", WebhookRequest(body=b"", headers={}))
    kept = WebhookEvent.objects.create(
        provider_id="scripted", event_id="0", type="paid", payload={"session_id": opened.pk}
    )
    assert process_event(kept).status == WebhookEventStatus.IGNORED
    assert not script.requests("parse_webhook")
    assert not script.requests("retrieve")


def told(**values: Any) -> SessionFact:
    return SessionFact(currency_code="eur", amount=Decimal(1), **values)


PAID: dict[str, SessionFact] = {
    "authorized": told(status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(1)),
    "captured": told(status=SessionStatus.AUTHORIZED, captured_amount=Decimal(1)),
    "an amount captured": told(captured_amount=Decimal(1)),
    "a capture": told(
        movements=(
            MovementFact(
                kind=MovementKind.CAPTURE,
                status=MovementStatus.SUCCEEDED,
                amount=Decimal(1),
                currency_code="eur",
                provider_reference="c",
            ),
        )
    ),
}


def operation_of(session: PaymentSession) -> PaymentOperation:
    """Return the operation whose outcome isn't known, due to be looked after."""
    operation = PaymentOperation.objects.get(session=session, status=OperationStatus.UNKNOWN)
    PaymentOperation.objects.filter(pk=operation.pk).update(next_attempt_at=timezone.now())
    return operation


@pytest.fixture
def unclear(session: PaymentSession, script: Script) -> Iterator[PaymentSession]:
    """Have the shop open after the outcome of an authorization wasn't known."""
    script.next("authorize", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)
    with override_settings(PAYMENTS={**settings.PAYMENTS, "ALLOW_PRETEND_MONEY": False}):
        yield session


@pytest.mark.shows(
    "A provider of pretend money that is asked, where a shop is open", "no payment comes of what it tells"
)
@pytest.mark.parametrize("fact", PAID.values(), ids=PAID)
@pytest.mark.parametrize("asker", ["sync", "reconciler", "clerk"])
def test_no_payment_comes_of_pretend_money_however_it_is_told_of(
    fact: SessionFact, asker: str, unclear: PaymentSession, script: Script
) -> None:
    operation = operation_of(unclear)
    answer = RetrieveResult(outcome=Outcome.SUCCEEDED, provider_reference="x", fact=fact)
    script.next("retrieve", answer, answer)
    if asker == "reconciler":
        assert services.reconcile_due() == 1
        assert script.requests("retrieve")
    else:
        with pytest.raises(InputError, match="moves no real money"):
            services.sync_payment_session(unclear) if asker == "sync" else services.check_operation(operation)
    assert not Payment.objects.exists()
    unclear.collection.refresh_from_db()
    assert (unclear.collection.status, unclear.collection.captured_amount) == ("awaiting", Decimal(0))


@pytest.mark.shows(
    "A person says that pretend money was held or received, where a shop is open", "`pretend_money`"
)
def test_no_payment_comes_of_pretend_money_on_a_persons_word(unclear: PaymentSession, settings: Any) -> None:
    settings.PAYMENTS = {**settings.PAYMENTS, "MARK_AS_PAID_PROVIDER": "scripted"}
    operation = operation_of(unclear)
    PaymentOperation.objects.update(unclear_since=F("unclear_since") - RESOLVABLE_AFTER)
    seen: dict[str, Any] = {"has_happened": True, "accept_excess": True}
    words: list[Callable[[], object]] = [
        lambda: foresee(operation, **seen),
        lambda: services.resolve_operation(operation, reason="Seen.", **seen),
        lambda: services.resolve_operation(operation, has_happened=False, reason="Seen."),
        lambda: services.correct_operation(operation, reason="Seen.", **seen),
        lambda: services.mark_payment_collection_as_paid(unclear.collection),
    ]
    told: list[str] = []
    for say in words:
        try:
            say()
            told.append("")
        except InputError as error:
            told.append(error.code)
    assert told == ["pretend_money", "pretend_money", "", "pretend_money", "pretend_money"]
    assert not Payment.objects.exists()


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.DECLINED])
def test_no_payment_comes_of_pretend_money_that_an_abandonment_tells_of(
    outcome: Outcome, opened: PaymentSession, script: Script
) -> None:
    told_of = PAID["captured"]
    failure = Failure(code="paid") if outcome == Outcome.DECLINED else None
    script.next("cancel", CancelResult(outcome=outcome, failure=failure, fact=told_of))
    script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=told_of))
    with pytest.raises(PaymentError):
        services.cancel_payment_session(opened)
    assert not Payment.objects.exists()


def test_an_authorization_is_not_sent_again_once_pretend_money_is_not_meant(
    unclear: PaymentSession, script: Script
) -> None:
    operation = operation_of(unclear)
    sent = len(script.requests("authorize"))
    script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED))
    assert services.reconcile_due() == 1
    operation.refresh_from_db()
    assert (len(script.requests("authorize")), operation.status) == (sent, OperationStatus.UNKNOWN)
    assert operation.next_attempt_at is not None
    assert operation.next_attempt_at > timezone.now()


def test_what_is_no_payment_is_still_believed(unclear: PaymentSession, script: Script) -> None:
    operation = operation_of(unclear)
    fact = told(status=SessionStatus.ERROR, failure=Failure(code="no"))
    script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact))
    assert services.reconcile_due() == 1
    operation.refresh_from_db()
    unclear.refresh_from_db()
    assert (operation.status, unclear.status) == (OperationStatus.DECLINED, SessionStatus.ERROR)


@pytest.mark.shows(
    "Pretend money that was held before the shop was open",
    "can be captured, refunded, released and looked up",
)
def test_what_is_held_already_goes_its_way(session: PaymentSession, script: Script) -> None:
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    other = services.create_payment_collection(amount="1.00", currency_code="eur")
    held = services.create_payment_session(other, provider_id="scripted")
    services.authorize_payment_session(held)
    with override_settings(PAYMENTS={**settings.PAYMENTS, "ALLOW_PRETEND_MONEY": False}):
        script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=PAID["authorized"]))
        assert services.sync_payment_session(session).status == SessionStatus.AUTHORIZED
        services.capture_payment(payment)
        services.refund_payment(payment)
        payment.refresh_from_db()
        assert (payment.captured_amount, payment.refunded_amount) == (Decimal(1), Decimal(1))
        assert services.cancel_payment_session(held).status == SessionStatus.CANCELED


DOCUMENTED = {"api_key": DEFAULT_API_KEY, "webhook_secrets": [DEFAULT_WEBHOOK_SECRET]}


@pytest.mark.shows(
    "An event signed with the secret that the documentation prints, where a shop is open", "nothing is paid"
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("options", "is_allowed"),
    [
        (DOCUMENTED, True),
        (DOCUMENTED, False),
        ({**DOCUMENTED, "api_key": "own"}, True),  # half of it is enough to be refused
        ({**DOCUMENTED, "webhook_secrets": ["own", DEFAULT_WEBHOOK_SECRET]}, True),
        (
            {"api_key": "own", "webhook_secrets": ["own"]},
            True,
        ),  # the shop's own, which a stranger can't sign with
        ({"api_key": "own", "webhook_secrets": ["own"]}, False),
    ],
)
def test_a_guest_pays_nothing_with_an_event_signed_by_the_documentation(
    options: dict[str, Any], is_allowed: bool
) -> None:
    with SimulatorService(async_delay=None) as service, simulator_settings(service):
        collection = services.create_payment_collection(amount="100.00", currency_code="eur")
        body = event_of_a_capture(
            service, services.create_payment_session(collection, provider_id="simulator")
        )
    providers = {"simulator": {"BACKEND": SIMULATOR, "OPTIONS": options}}
    with override_settings(PAYMENTS={"PROVIDERS": providers, "ALLOW_PRETEND_MONEY": is_allowed}):
        answer = deliver(body, DEFAULT_WEBHOOK_SECRET)
    assert answer.status_code in (400, 404, 500)
    assert not WebhookEvent.objects.exists()
    collection.refresh_from_db()
    assert str(collection.status) == "awaiting"

    providers["simulator"]["OPTIONS"] = {"api_key": "own", "webhook_secrets": ["own"]}
    with override_settings(PAYMENTS={"PROVIDERS": {**providers}, "ALLOW_PRETEND_MONEY": True}):
        assert deliver(body, "own").status_code == 200
    collection.refresh_from_db()
    assert collection.status == "completed", "The event is one that would have been believed."


def event_of_a_capture(service: SimulatorService, session: PaymentSession) -> bytes:
    """Return an event of which our books know nothing yet, as the simulator writes it."""
    merchant = Merchant(url=service.url, api_key=service.settings.api_key)
    path = f"/v1/intents/{session.provider_reference}"
    assert merchant.post(f"{path}/authorize", card="card_ok", reference="x").status < 300
    assert merchant.post(f"{path}/captures", amount=10_000, reference="y").status < 300
    return service.events(reference=session.pk)[-1].body.encode()


def deliver(body: bytes, secret: str) -> Any:
    return Client(raise_request_exception=False).post(
        "/payments/webhooks/simulator/",
        body,
        content_type="application/json",
        headers={"Simulator-Signature": sign([secret], body, int(time.time()))},
    )


SECRET = re.compile(r"\b(?:sk|rk|whsec)_[A-Za-z_]*(?:\.\.\.|[A-Za-z0-9_]+)")
READ = ("README.md", "docs", "example_project", "payments")


def printed_secrets() -> set[str]:
    """Return all that looks like a secret in what a shop's developer reads and copies."""
    found: set[str] = set()
    for place in READ:
        paths = [ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*")
        for path in paths:
            if path.suffix in (".md", ".py", ".txt", ".html"):
                found |= set(SECRET.findall(path.read_text()))
    return {each for each in found if not each.endswith("_")}


@pytest.mark.database_independent
@pytest.mark.parametrize("secret", sorted(printed_secrets()))
@pytest.mark.parametrize("option", ["api_key", "webhook_secrets"])
def test_no_secret_that_is_printed_works_where_a_shop_is_open(option: str, secret: str) -> None:
    values: dict[str, Any] = {"api_key": "own", "webhook_secrets": ["own"]}
    values[option] = secret if option == "api_key" else ["own", secret]
    entry = {"BACKEND": SIMULATOR, "OPTIONS": values}
    configured = {"PROVIDERS": {"card": entry}, "ALLOW_PRETEND_MONEY": True}
    with override_settings(DEBUG=True, PAYMENTS=configured):
        get_provider("card")
    with override_settings(DEBUG=False, PAYMENTS={**configured}):
        with pytest.raises(ImproperlyConfigured, match=option) as refused:
            get_provider("card")
        assert secret not in str(refused.value)
        assert "payments.E004" in [message.id for message in checks.check_settings()]
