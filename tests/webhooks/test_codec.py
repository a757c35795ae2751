"""A fact comes out of its JSON as it went in, whatever it holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from urllib.parse import quote

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from hypothesis import given
from hypothesis import strategies as st

from payments.providers import Failure, MovementFact, NextAction, SessionFact, decode_fact, encode_fact
from payments.states import MovementKind, MovementStatus, SessionStatus

pytestmark = pytest.mark.database_independent

TEXTS = st.text(max_size=20)
AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=4)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])
TIMES = st.datetimes(timezones=ZONES)
PLAIN = st.dictionaries(TEXTS, TEXTS | st.integers() | st.none() | st.lists(TEXTS, max_size=2), max_size=3)
FAILURES = st.builds(Failure, code=TEXTS, message=TEXTS, detail=TEXTS)

FACTS = st.builds(
    SessionFact,
    currency_code=TEXTS,
    status=st.none() | st.sampled_from(SessionStatus),
    provider_reference=st.none() | TEXTS,
    amount=st.none() | AMOUNTS,
    authorized_amount=st.none() | AMOUNTS,
    captured_amount=st.none() | AMOUNTS,
    refunded_amount=st.none() | AMOUNTS,
    canceled_amount=st.none() | AMOUNTS,
    unclear_charge_backs=st.lists(TEXTS, max_size=2).map(tuple),
    movements=st.lists(
        st.builds(
            MovementFact,
            kind=st.sampled_from(MovementKind),
            status=st.sampled_from(MovementStatus),
            amount=AMOUNTS,
            currency_code=TEXTS,
            operation_id=st.none() | TEXTS,
            provider_reference=st.none() | TEXTS,
            failure=st.none() | FAILURES,
        ),
        max_size=3,
    ).map(tuple),
    failure=st.none() | FAILURES,
    next_action=st.none()
    | st.builds(NextAction, type=st.sampled_from(["challenge", "provider_script"]))
    | st.builds(
        NextAction,
        type=st.just("redirect"),
        url=TEXTS.map(lambda text: f"https://bank.example/{quote(text)}"),
    ),
    awaits_authorization=st.booleans(),
    data=st.none() | PLAIN,
    provider_data=st.none() | PLAIN,
    expires_at=st.none() | TIMES,
    occurred_at=st.none() | TIMES,
)


@given(FACTS)
def test_a_fact_survives_the_trip_through_json(fact: SessionFact) -> None:
    stored = json.loads(json.dumps(encode_fact(fact), cls=DjangoJSONEncoder))
    decoded = decode_fact(stored)
    assert decoded == fact
    assert [str(row.amount) for row in decoded.movements] == [str(row.amount) for row in fact.movements]


def test_times_keep_their_microseconds_and_amounts_their_zeros() -> None:
    fact = SessionFact(
        currency_code="kwd",
        authorized_amount=Decimal("1.2300"),
        occurred_at=datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC),
    )
    decoded = decode_fact(json.loads(json.dumps(encode_fact(fact))))
    assert decoded.occurred_at == fact.occurred_at
    assert str(decoded.authorized_amount) == "1.2300"


def test_data_may_be_any_mapping() -> None:
    fact = SessionFact(currency_code="eur", data=MappingProxyType({"client_token": "t"}))
    assert json.loads(json.dumps(encode_fact(fact)))["data"] == {"client_token": "t"}


def test_a_fact_that_an_older_version_stored_can_still_be_read() -> None:
    assert decode_fact({"currency_code": "eur"}) == SessionFact(currency_code="eur")
    movement = {"kind": "capture", "status": "succeeded", "amount": "1.00", "currency_code": "eur"}
    (decoded,) = decode_fact({"currency_code": "eur", "movements": [movement]}).movements
    assert decoded == MovementFact(
        kind=MovementKind.CAPTURE,
        status=MovementStatus.SUCCEEDED,
        amount=Decimal("1.00"),
        currency_code="eur",
    )
