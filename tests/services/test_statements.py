"""The statements of the ledger: what they write and read is the same, compiled or through the plain ORM."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from typing import Any, Final

import pytest
from django.db.models import F, JSONField, Value

from payments import services
from payments.models import PaymentCollection, PaymentOperation, PaymentSession
from payments.services.ledger import statements
from payments.services.ledger.locks import database_alias
from payments.services.ledger.statements import Select, insert, update

TEXT: Final = "100 % of %s, %(name)s and {}: 'one' \"two\" `three` \\ /* -- ; «collection» ﷼ مرحبا 🙂\n\t"
INDIA: Final = timezone(timedelta(hours=5, minutes=30))
LATE: Final = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=INDIA)
JSON_NULL: Final = Value(None, JSONField())

FULL: Final[dict[str, Any]] = {
    "amount": Decimal("12345678.9"),
    "attempts": 2**31 - 1,
    "detail": TEXT,
    "error_message": "",
    "provider_log": {},
    "input": {TEXT: TEXT, "none": None, "list": [1, -0.5, True, {"deep": [None, ""]}], "large": 2**53},
    "is_final": True,
    "lease_expires_at": LATE,
    "makes_split": False,
    "next_attempt_at": None,
    "request_key": "key's “%s”",
    "sent": [TEXT, None],
}
EMPTY: Final[dict[str, Any]] = {
    "amount": Decimal("0.0001"),
    "attempts": 0,
    "detail": "",
    "error_message": "%",
    "provider_log": {"%s": "%%"},
    "input": {},
    "is_final": False,
    "lease_expires_at": None,
    "makes_split": True,
    "next_attempt_at": LATE,
    "request_key": None,
    "sent": None,
}

both_ways = pytest.mark.parametrize("_setting", [True, False], ids=["compiled", "plain"], indirect=True)

CAPTURES: Final = Select(
    PaymentOperation,
    lambda rows, session, provider: rows.filter(session=session, provider=provider, kind="capture"),
    "session",
    "provider",
)


@pytest.fixture(autouse=True)
def _setting(settings: Any, request: pytest.FixtureRequest, _providers: None) -> None:
    """Have statements compiled, unless the test's parameter says otherwise."""
    choose(settings, is_compiled=getattr(request, "param", True))


def choose(settings: Any, *, is_compiled: bool) -> None:
    """Have statements compiled from here on, or not."""
    settings.PAYMENTS = settings.PAYMENTS | {"COMPILE_STATEMENTS": is_compiled}


def operation_of(session: PaymentSession, number: int, values: dict[str, Any]) -> PaymentOperation:
    """Return an operation with these values that isn't stored."""
    return PaymentOperation(
        kind="capture",
        target_id=session.pk,
        collection=session.collection,
        session=session,
        provider=session.provider,
        id=f"payop_{number}",
        in_flight_key=f"key-{number}",
        **values,
    )


def read_both_ways(settings: Any, session: PaymentSession) -> list[dict[str, Any]]:
    """Return the values of a session's new operations, after it is seen that both ways read the same."""
    before, rows = settings.PAYMENTS, []
    for is_compiled in (True, False):
        choose(settings, is_compiled=is_compiled)
        found = CAPTURES(database_alias(), session=session.pk, provider=session.provider_id)
        rows.append([_values(row) for row in sorted(found, key=lambda row: row.pk)])
    settings.PAYMENTS = before
    assert repr(rows[0]) == repr(rows[1])
    return rows[0]


def _values(row: PaymentOperation) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def _chosen(row: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in names}


@both_ways
def test_what_is_inserted_is_read_as_it_was(settings: Any, session: PaymentSession) -> None:
    insert(database_alias(), [operation_of(session, 1, FULL), operation_of(session, 2, EMPTY)])

    full, empty = read_both_ways(settings, session)
    assert _chosen(full, FULL) == FULL
    assert _chosen(empty, EMPTY) == EMPTY


@both_ways
def test_what_is_updated_is_read_as_it_was(settings: Any, session: PaymentSession) -> None:
    alias, operation = database_alias(), operation_of(session, 1, FULL)
    insert(alias, [operation])

    for values in (EMPTY, FULL):
        vars(operation).update(values)
        assert update(alias, operation, list(values))

        (row,) = read_both_ways(settings, session)
        assert _chosen(row, values) == values
    assert not update(alias, PaymentOperation(pk="op_none", detail=TEXT), ["detail"])


@both_ways
def test_null_of_json_is_none_of_the_database(session: PaymentSession) -> None:
    alias, rows = database_alias(), PaymentOperation.objects.filter(kind="capture")
    operations = [
        operation_of(session, number, {"amount": Decimal(1), "sent": sent})
        for number, sent in enumerate([None, JSON_NULL])
    ]

    insert(alias, operations)
    assert rows.get(sent__isnull=True).pk == "payop_0"
    assert rows.get(sent=JSON_NULL).pk == "payop_1"

    for operation, sent in zip(operations, [JSON_NULL, None], strict=True):
        operation.sent = sent
        assert update(alias, operation, ["sent"])
    assert rows.get(sent__isnull=True).pk == "payop_1"
    assert rows.get(sent=JSON_NULL).pk == "payop_0"


@both_ways
def test_time_of_sending_is_the_database_s(session: PaymentSession) -> None:
    operation = operation_of(session, 1, FULL)

    insert(database_alias(), [operation], stamped=("sent_at",))

    assert operation.sent_at is None
    stored = PaymentOperation.objects.get(pk=operation.pk)
    assert stored.sent_at is not None
    assert abs(stored.sent_at - stored.created_at) < timedelta(minutes=1)


@both_ways
def test_row_that_has_another_version_is_not_written(collection: PaymentCollection) -> None:
    version = collection.version
    PaymentCollection.objects.update(version=F("version") + 1)
    collection.currency_code = "usd"

    assert not update(database_alias(), collection, ["currency_code"], version=version)
    assert update(database_alias(), collection, ["currency_code"], version=version + 1)


class Changed:
    """A compiler of a release of Django that has nothing of what is used of it."""

    def __getattr__(self, name: str) -> Any:
        """Have nothing."""
        raise AttributeError(name)


@pytest.fixture
def _changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing be compiled yet, and nothing that can be."""
    for name in ("_plan", "_insert_text"):
        monkeypatch.setattr(statements, name, cache(getattr(statements, name).__wrapped__))
    monkeypatch.setattr(statements, "_compiler", lambda _rows: Changed())


@pytest.mark.usefixtures("_changed")
def test_what_cannot_be_compiled_goes_through_the_orm_and_is_warned_of_once(
    rows: None, caplog: pytest.LogCaptureFixture
) -> None:
    warned: list[int] = []
    for _each in range(2):
        collection = services.create_payment_collection(amount="100.00", currency_code="eur")
        session = services.create_payment_session(collection, provider_id="card")
        payment = services.authorize_payment_session(session).payment
        assert payment is not None
        services.capture_payment(payment)
        payment = services.refund_payment(payment, amount="30.00")
        assert (payment.captured_amount, payment.refunded_amount) == (Decimal(100), Decimal(30))
        warned.append(len(caplog.records))

    assert warned[0] == warned[1] > 0
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    texts = [record.getMessage() for record in caplog.records]
    assert "This SELECT of PaymentSession can't be compiled, so it goes through the ORM." in texts
    assert "This INSERT of PaymentOperation can't be compiled, so it goes through the ORM." in texts
