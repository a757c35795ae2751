"""The contract's part about the wire: how certain an answer is when the line is bad."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from payments.providers import ProviderResult
from payments.states import Outcome
from payments.testing.contract.driver import SessionDriver
from payments.testing.contract.expectations import expect
from payments.testing.contract.hooks import ContractHooks
from payments.testing.contract.servers import answering_address, closed_address, silent_address

Verb = Callable[[SessionDriver], ProviderResult]
Call = tuple[str, SessionDriver, Verb]

_VERBS: Mapping[str, Verb] = {
    "initiate": SessionDriver.initiate,
    "authorize": SessionDriver.authorize,
    "capture": SessionDriver.capture,
    "refund": SessionDriver.refund,
    "cancel": SessionDriver.cancel,
}

IMPATIENCE = 0.2
"""The timeout, in seconds, of a provider at an address that doesn't answer."""

_BAD_ANSWERS = {
    "500": b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    "503 from a proxy": b"HTTP/1.1 503 Busy\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>",
    "200 with garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n\xff\xfe\x00{",
    "200 with an empty object": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    "200 with a list": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]",
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "nothing": b"",
}


class WireContract(ContractHooks):
    """Test a provider at addresses where nothing good happens."""

    def test_an_address_that_cannot_be_reached_means_not_sent(self) -> None:
        with closed_address() as url:
            for name, driver, verb in self._calls_at(url):
                result = verb(driver)
                assert result.outcome == Outcome.NOT_SENT, (
                    f"{name}: nothing was sent, but it is {result.outcome}."
                )

    def test_silence_ends_after_the_timeout_with_an_unknown_outcome(self) -> None:
        with silent_address() as url:
            for name, driver, verb in self._calls_at(url):
                started = time.monotonic()
                expect(driver, verb(driver), Outcome.UNKNOWN)
                took = time.monotonic() - started
                assert took < self.longest_wait, f"{name} took {took:.1f} s: is its timeout set?"

    def test_a_useless_answer_is_an_unknown_outcome(self) -> None:
        for kind, answer in _BAD_ANSWERS.items():
            with answering_address(answer) as url:
                for name, driver, verb in self._calls_at(url):
                    result = verb(driver)
                    assert result.outcome == Outcome.UNKNOWN, (
                        f"{name}: after “{kind}” nobody knows what was done, but it is {result.outcome}."
                    )

    def _calls_at(self, url: str) -> list[Call]:
        """Return each verb with the driver of a session that was opened well and then moved to another address."""
        provider = self.make_provider_at(url, timeout=IMPATIENCE)
        if provider is None:
            self.skip("make_provider_at() returns None")
        assert provider is not None
        verbs = dict(_VERBS)
        if provider.supports_update:
            verbs["update"] = lambda driver: driver.update(driver.amount)
        if provider.supports_retrieve:
            verbs["retrieve"] = SessionDriver.retrieve
        drivers = {"initiate": self.start(), "authorize": self.initiated(), "update": self.initiated()}
        driver = self.captured()
        for each in (driver, *drivers.values()):
            each.provider = provider
        return [(name, drivers.get(name, driver), verb) for name, verb in verbs.items()]
