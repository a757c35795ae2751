"""Projects with `USE_TZ = False`: what a provider says of time is kept as the project's own times are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from payments import services
from payments.exceptions import InputError
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentSession, WebhookEvent
from payments.providers import AuthorizeResult, InitiateResult, RetrieveResult, SessionFact
from payments.services.background.expiry import sweep_expired
from payments.services.ledger import statements
from payments.states import Outcome, SessionStatus
from payments.testing import Script, running_simulator
from tests.api.client import Visitor
from tests.webhooks.deliveries import SECRET, bodies, deliver

ROOT = Path(__file__).parent.parent.parent
ZONES = ("Europe/Berlin", "America/Los_Angeles")
THERE = timezone.get_fixed_timezone(345)
MOMENT = datetime(2031, 7, 1, 12, 30, 0, 123456, tzinfo=UTC)

ELSEWHERE = (
    "tests/stripe/test_authorization.py",
    "tests/stripe/test_webhooks.py",
    "tests/paypal/test_authorization.py",
    "tests/paypal/test_webhooks.py",
    "tests/paypal/test_disputes.py",
    "tests/paypal/test_divided_refunds.py",
    "tests/providers/simulator/test_provider.py",
    "tests/webhooks/test_codec.py",
    "tests/webhooks/test_inbox.py",
    "tests/webhooks/test_delivery.py",
    "tests/webhooks/test_matching.py",
    "tests/webhooks/test_order.py",
    "tests/webhooks/test_end_to_end.py",
    "tests/admin/test_pages.py",
    "tests/admin/test_overview.py",
    "tests/reliability/test_expiry.py",
    "tests/reliability/test_reconciler.py",
    "tests/background/test_installments.py",
    "tests/services/test_sync.py",
)
"""Where moments are told by a provider, kept, compared with the clock, or shown."""


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, settings: Any) -> Iterator[ZoneInfo]:
    """Have a project without time zones, and return the one that its clock shows."""
    settings.TIME_ZONE = request.param
    settings.USE_TZ = False
    # How times are read is compiled with a statement, and no project changes its mind while it runs.
    statements._plan.cache_clear()
    yield ZoneInfo(request.param)
    statements._plan.cache_clear()


@pytest.fixture
def session(zone: ZoneInfo, collection: PaymentCollection, script: Script) -> PaymentSession:
    """Return a session with the scripted provider, not authorized yet."""
    return services.create_payment_session(collection, provider_id="scripted")


def shown(zone: ZoneInfo, moment: datetime = MOMENT) -> datetime:
    """Return a moment as the project's clock shows it."""
    return moment.astimezone(zone).replace(tzinfo=None)


@pytest.mark.shows(
    "A project with `USE_TZ = False` is told by its provider when something happened, and until when money is held",
    "Calls, webhooks and looks at the provider are recorded, in the project's own time",
)
@pytest.mark.django_db(transaction=True)
def test_moments_of_answers_and_facts_are_kept_in_the_projects_time(
    zone: ZoneInfo, session: PaymentSession, script: Script
) -> None:
    fact = SessionFact(
        currency_code="eur",
        status=SessionStatus.AUTHORIZED,
        authorized_amount=session.amount,
        expires_at=MOMENT.astimezone(THERE),
        occurred_at=MOMENT - timedelta(days=7),
    )
    script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact))

    services.sync_payment_session(session)

    row = PaymentSession.objects.get(pk=session.pk)
    assert row.authorized_at == shown(zone, MOMENT - timedelta(days=7))
    assert row.expires_at == Payment.objects.get().expires_at == shown(zone)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_aware", [False, True])
def test_due_dates_follow_the_projects_calendar(
    zone: ZoneInfo, collection: PaymentCollection, script: Script, is_aware: bool
) -> None:
    midnight = datetime(2031, 3, 1)  # noqa: DTZ001 - as the project's rows have it
    first = midnight.replace(tzinfo=zone).astimezone(UTC) if is_aware else midnight

    services.create_installment_plan(
        collection, provider_id="scripted", count=3, interval="month", first_due_at=first
    )

    due = PaymentSession.objects.order_by("installment").values_list("due_at", flat=True)
    assert list(due) == [midnight.replace(month=month) for month in (3, 4, 5)]


@pytest.mark.django_db(transaction=True)
def test_session_that_a_provider_ends_is_swept_in_time(
    zone: ZoneInfo, collection: PaymentCollection, script: Script
) -> None:
    for hours in (-1, 1):
        ends = datetime.now(THERE) + timedelta(hours=hours)
        script.next("initiate", InitiateResult(outcome=Outcome.SUCCEEDED, expires_at=ends))
        services.create_payment_session(collection, provider_id="scripted", amount="10.00")

    assert sweep_expired().canceled == 1


@pytest.mark.django_db(transaction=True)
def test_late_report_of_the_attempt_before_ends_no_later_one(
    zone: ZoneInfo, session: PaymentSession, script: Script
) -> None:
    script.next("authorize", AuthorizeResult(outcome=Outcome.DECLINED))
    services.authorize_payment_session(session)
    script.next("authorize", AuthorizeResult(outcome=Outcome.PENDING))
    services.authorize_payment_session(session)
    for minutes, status in ((-5, "pending"), (5, "error")):
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        fact = SessionFact(currency_code="eur", status=SessionStatus.ERROR, occurred_at=at)
        script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact))
        services.sync_payment_session(session)
        session.refresh_from_db()
        assert session.status == status


@pytest.mark.django_db(transaction=True)
def test_events_are_received_and_applied(zone: ZoneInfo, collection: PaymentCollection) -> None:
    with running_simulator(webhook_secret=SECRET) as simulator:
        session = services.create_payment_session(collection, provider_id="simulator")
        simulator.authorize(str(session.provider_reference))
        simulator.capture(str(session.provider_reference))
        for body in bodies(simulator, session):
            assert deliver(body).status == 200

        collection.refresh_from_db()
        assert collection.status == "completed"
        for event in WebhookEvent.objects.all():
            assert event.occurred_at is not None
            assert abs(event.occurred_at - timezone.now()) < timedelta(minutes=2)
        assert services.sync_payment_session(session).status == "authorized"


@pytest.mark.django_db
def test_operators_read_and_filter_by_the_right_moments(
    zone: ZoneInfo, collection: PaymentCollection, admin_user: Any
) -> None:
    operator, now = Visitor(user=admin_user), datetime.now(UTC)

    for name, offset, count in (("created_at_gte", -5, 1), ("created_at_lt", 5, 1), ("created_at_lt", -5, 0)):
        at = (now + timedelta(minutes=offset)).isoformat()
        found = operator.get("staff/payment-collections/", **{name: at}).body["results"]
        assert len(found) == count
    told = operator.get(f"staff/payment-collections/{collection.pk}/").body["created_at"]
    assert abs(datetime.fromisoformat(told) - now) < timedelta(minutes=1)


@pytest.mark.parametrize("zone", ["Europe/Berlin"], indirect=True)
@pytest.mark.django_db
@pytest.mark.database_independent
def test_pages_of_the_admin_are_there(zone: ZoneInfo, session: PaymentSession, admin_user: Any) -> None:
    services.authorize_payment_session(session)
    client = Client()
    client.force_login(admin_user)
    for model in admin.site._registry:
        if model._meta.app_label != "payments":
            continue
        name = f"admin:payments_{model._meta.model_name}"
        rows = model._base_manager.all()[:1]
        pages = [reverse(f"{name}_changelist"), *(reverse(f"{name}_change", args=[row.pk]) for row in rows)]
        assert [client.get(page).status_code for page in pages] == [200] * len(pages), name


@pytest.mark.django_db
def test_installments_fall_due_by_the_projects_clock(
    zone: ZoneInfo, collection: PaymentCollection, script: Script
) -> None:
    def plan(first: datetime) -> list[PaymentSession]:
        for old in PaymentSession.objects.unauthorized():
            services.cancel_payment_session(old)
        return services.create_installment_plan(
            collection, provider_id="scripted", count=2, interval="month", first_due_at=first
        )

    for first in (MOMENT, MOMENT.astimezone(THERE), shown(zone)):
        sessions = plan(first)
        rows = PaymentSession.objects.filter(pk__in=[session.pk for session in sessions]).order_by("due_at")
        assert rows[0].due_at == shown(zone)
        assert rows[1].due_at == shown(zone).replace(month=8)
    plan(datetime.now(UTC) - timedelta(minutes=1))
    assert services.notify_due_installments() == 1
    assert PaymentEvent.objects.filter(type="session.due").count() == 1


@pytest.mark.django_db
def test_due_date_needs_a_zone_where_the_project_has_them(
    collection: PaymentCollection, script: Script
) -> None:
    with pytest.raises(InputError) as refusal:
        services.create_installment_plan(
            collection,
            provider_id="scripted",
            count=2,
            interval="month",
            first_due_at=MOMENT.replace(tzinfo=None),
        )
    assert refusal.value.code == "naive_datetime"


@pytest.mark.thorough
def test_every_provider_works_without_time_zones(request: pytest.FixtureRequest) -> None:
    database = request.config.getoption("database")
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", "--database", database]
    command += ["--ds", "tests.projects.naive_settings", *ELSEWHERE]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    run = subprocess.run(  # noqa: PLW1510 - the assertion below says more
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )

    assert run.returncode == 0, run.stdout[-5000:]
