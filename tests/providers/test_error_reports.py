"""What a report of an error shows of a call to a provider: neither its keys nor what the payer sent."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from http.client import HTTPConnection
from typing import Any, get_type_hints

import pytest
from django.test.utils import override_settings
from django.views.debug import ExceptionReporter

from payments import providers as p
from payments.providers import account_holders, facts, requests, results
from payments.providers.paypal import PayPalOptions, PayPalProvider
from payments.providers.simulator import SimulatorOptions, SimulatorProvider
from payments.providers.stripe import StripeOptions, StripeProvider

pytestmark = pytest.mark.database_independent

KEY = "sk_test_of_the_shop"
TOKEN = "tok_of_the_payers_card"
URL = "http://127.0.0.1:9"
COMMON: dict[str, Any] = {
    "operation_id": "payop_1",
    "idempotency_key": "key-1",
    "collection_id": "pay_col_1",
    "session_id": "payses_1",
    "amount": Decimal(10),
    "currency_code": "eur",
    "provider_reference": "ORDER1",
    "data": {"client_secret": TOKEN},
    "provider_data": {"secret": TOKEN, "authorization": "AUTH1"},
}
SENT = {**COMMON, "input": {"card": TOKEN, "payment_method": TOKEN, "code": TOKEN}}
CALLS: dict[str, tuple[Any, Any]] = {
    "initiate": (p.InitiateRequest(**SENT), p.InitiateResult),
    "update": (p.UpdateRequest(**SENT), p.UpdateResult),
    "authorize": (p.AuthorizeRequest(**SENT), p.AuthorizeResult),
    "capture": (p.CaptureRequest(**COMMON, payment_id="pay_1", capture_id="capt_1"), p.CaptureResult),
    "refund": (p.RefundRequest(**COMMON, payment_id="pay_1", refund_id="ref_1"), p.RefundResult),
    "cancel": (p.CancelRequest(**COMMON), p.CancelResult),
    "retrieve": (
        p.RetrieveRequest(
            session_id="s", amount=Decimal(1), currency_code="eur", provider_reference="ORDER1"
        ),
        p.RetrieveResult,
    ),
}
MADE: dict[str, p.BaseProvider[Any]] = {
    "simulator": SimulatorProvider(alias="x", options=SimulatorOptions(api_key=KEY, base_url=URL)),
    "stripe": StripeProvider(alias="x", options=StripeOptions(api_key=KEY, api_base=URL)),
    "paypal": PayPalProvider(
        alias="x", options=PayPalOptions(client_id="id", client_secret=KEY, base_url=URL, livemode=False)
    ),
}


class StoppedError(KeyboardInterrupt):
    """What no library and no plug-in catches: the process is to end, and says where it was."""


@pytest.fixture(autouse=True)
def _stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop every call when its head has been written, with all that is sent at hand."""

    def stop(*_args: Any, **_kwargs: Any) -> None:
        raise StoppedError

    monkeypatch.setattr(HTTPConnection, "connect", lambda _connection: None)
    monkeypatch.setattr(HTTPConnection, "endheaders", stop)


def report_of(error: BaseException) -> str:
    """Return Django's whole technical report; without what this module itself holds, which calls with the secrets."""
    inside: Any = error.__traceback__
    while inside is not None and inside.tb_frame.f_code.co_filename == __file__:
        inside = inside.tb_next
    with override_settings(DEBUG=False):
        return ExceptionReporter(None, type(error), error, inside).get_traceback_html()


@pytest.mark.shows(
    "A call to a provider that breaks off, and a report of that", "holds neither its key nor a payer's token"
)
@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize("name", MADE)
def test_no_report_of_a_call_holds_a_key_or_a_token(name: str, verb: str) -> None:
    request, result_class = CALLS[verb]
    with pytest.raises(StoppedError) as caught:
        p.call_provider(getattr(MADE[name], verb), request, result_class=result_class)
    report = report_of(caught.value)
    assert "endheaders" in report
    assert KEY not in report
    assert TOKEN not in report


@pytest.mark.parametrize("name", ["stripe", "paypal"])
def test_no_report_of_a_look_at_the_webhooks_holds_a_key(name: str) -> None:
    provider: Any = MADE[name]
    with pytest.raises(StoppedError) as caught:
        provider.endpoint_reports(path="/payments/webhooks/x/")
    assert KEY not in report_of(caught.value)


MESSAGES = [
    value
    for module in (requests, results, facts, account_holders)
    for value in vars(module).values()
    if isinstance(value, type) and is_dataclass(value)
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_no_message_prints_what_it_carries(message: Any) -> None:
    hints = get_type_hints(message)
    shown = {field.name for field in fields(message) if field.repr}
    carrying = {name for name, hint in hints.items() if "Mapping" in str(hint) or hint in (Mapping, bytes)}
    assert not shown & carrying
    assert not shown & {"email", "saved_method"}


def test_the_library_of_stripe_logs_nothing_that_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("stripe")
    with caplog.at_level(logging.DEBUG, "stripe"):
        logger.debug("Post details post_data=%s", TOKEN)
        logger.info("Request to Stripe api")
    assert [record.getMessage() for record in caplog.records] == ["Request to Stripe api"]
