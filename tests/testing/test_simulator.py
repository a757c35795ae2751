"""The running simulator: settings point to it inside the block, and are as they were afterwards."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from payments.exceptions import OutcomeUnknownError
from payments.providers import RetrieveRequest, get_provider
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_payment_collection,
    create_payment_session,
)
from payments.simulator import SimulatorService
from payments.testing import Attempt, SessionDriver, running_simulator, simulator_settings

pytestmark = pytest.mark.database_independent


@pytest.mark.django_db
def test_the_services_reach_the_simulator_of_the_fixture(simulator: SimulatorService) -> None:
    collection = create_payment_collection(amount="100.00", currency_code="eur")
    session = create_payment_session(collection, provider_id="simulator")
    payment = authorize_payment_session(session, data={"card": "card_ok"}).payment
    assert payment is not None
    simulator.script(operation="capture", fault="drop_after")
    with pytest.raises(OutcomeUnknownError):
        capture_payment(payment)
    assert simulator.totals(session.pk).captured == 10000


def test_settings_are_as_before_when_the_block_ends() -> None:
    before = settings.PAYMENTS
    with running_simulator(timeout=1.5, api_key="sk_own", webhook_secret=["whsec_1", "whsec_2"]) as service:
        options = get_provider("simulator").options
        assert (options.base_url, options.api_key, options.timeout) == (service.url, "sk_own", 1.5)
        assert options.webhook_secrets == ["whsec_1", "whsec_2"]
        assert settings.PAYMENTS["PROVIDERS"].keys() == before["PROVIDERS"].keys()
    assert before == settings.PAYMENTS


def test_nobody_listens_any_more_when_the_block_ends() -> None:
    with running_simulator() as service:
        address = urlsplit(service.url)
    assert address.hostname is not None
    assert address.port is not None
    with socket.socket() as probe:
        assert probe.connect_ex((address.hostname, address.port)) != 0


def test_two_simulators_stand_side_by_side_under_two_aliases() -> None:
    with running_simulator() as first, running_simulator(alias="other") as second:
        providers = [get_provider("simulator"), get_provider("other")]
        assert [each.options.base_url for each in providers] == [first.url, second.url]


def test_one_option_can_be_made_wrong_for_a_while(simulator: SimulatorService) -> None:
    with simulator_settings(simulator, api_key="sk_wrong"):
        driver = SessionDriver(provider=get_provider("simulator"))
        assert driver.initiate().outcome == "not_sent"
    assert SessionDriver(provider=get_provider("simulator")).initiate().outcome == "succeeded"


def test_nothing_settles_unless_a_test_says_so() -> None:
    with running_simulator() as service:
        driver = SessionDriver(
            provider=get_provider("simulator"), attempt=Attempt(input={"card": "card_async"})
        )
        driver.initiate()
        assert driver.authorize().outcome == "pending"
        assert driver.provider_reference is not None
        service.settle(driver.provider_reference)
        request = RetrieveRequest(
            session_id=driver.session_id,
            amount=driver.amount,
            currency_code="eur",
            provider_reference=driver.provider_reference,
        )
        fact = get_provider("simulator").retrieve(request).fact
        assert fact is not None
        assert fact.status == "authorized"
