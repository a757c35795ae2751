"""What a subclass tells the contract about its provider, and how the contract opens sessions with it."""

from __future__ import annotations

import os
import re
import unittest
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

import django
from django.apps import apps
from django.conf import ENVIRONMENT_VARIABLE, settings

from payments.providers import AuthorizeResult, BaseProvider
from payments.providers.account_holders import AddMethodResult
from payments.providers.public_data import secrets_in
from payments.testing.contract.driver import Attempt, SessionDriver, succeeded


class ContractHooks:
    """The hooks; all but `make_provider` have a default, which is mostly that the provider can't.

    `keeps_books` is False for a provider that has no counterpart which could refuse, know of a key, or be asked: the
    merchant handles the money. `reports_movements` is False where a retrieve only knows totals,
    `finds_by_session_id` where a session can't be found before its reference is known.
    `webhook_tolerance` is how old a signature may be (None: it doesn't say when it was made), and `longest_wait` how
    long a call may take at an address that doesn't answer, both in seconds.
    """

    keeps_books: ClassVar[bool] = True
    reports_movements: ClassVar[bool] = True
    finds_by_session_id: ClassVar[bool] = True
    zero_decimal_currency: ClassVar[str | None] = "jpy"
    three_decimal_currency: ClassVar[str | None] = "kwd"
    webhook_tolerance: ClassVar[int | None] = 300
    longest_wait: ClassVar[float] = 10.0

    def make_provider(self) -> BaseProvider[Any]:
        """Return a provider that works; called once per test."""
        raise NotImplementedError(f"{type(self).__name__} must say how its provider is made: make_provider()")

    def make_provider_at(self, url: str, *, timeout: float) -> BaseProvider[Any] | None:
        """Return a provider that talks to `url` instead and gives up after `timeout` seconds; None if it can't."""
        return None

    def approved(self) -> Attempt:
        """Return what is authorized in whole and at once; an amount of some units of its currency."""
        return Attempt()

    def declined(self) -> Attempt | None:
        """Return what is declined when it is authorized; None if nothing is."""
        return None

    def partially_approved(self) -> Attempt | None:
        """Return that of which only a part is authorized; None if that doesn't happen."""
        return None

    def challenged(self) -> Attempt | None:
        """Return what asks the payer for something more; None if nothing does."""
        return None

    def act_as_payer(self, driver: SessionDriver) -> None:
        """Do what a payer does elsewhere before a session is authorized, such as approving on the provider's page.

        Called before each `authorize()`; `driver.attempt` says how it is to go. Who is to be challenged does nothing.
        """

    def pass_challenge(self, driver: SessionDriver) -> Mapping[str, Any]:
        """Do what a payer does, if it is done elsewhere, and return what they then send to authorize again."""
        return {}

    def unknown_reference(self, known: str) -> str:
        """Return a reference that no session has, in the form of a known one; by default with nines for its digits."""
        unknown = re.sub(r"\d", "9", known)
        return unknown if unknown != known else known[:-1] + ("0" if known[-1:] != "0" else "1")

    def save_method(self, account_reference: str, added: AddMethodResult, *, asks_bank: bool) -> None:
        """Do what a customer's browser does with what `add_method` returned: save what is approved when it pays.

        With `asks_bank`, it is one whose bank wants the customer to confirm each payment.
        """
        raise unittest.SkipTest(
            f"{type(self).__name__} doesn't say how a payment method is saved: save_method()"
        )

    def choose_method(self, method_id: str) -> Mapping[str, Any]:
        """Return what a browser sends to pay with a saved payment method; by default its id, as `payment_method`."""
        if "payment_method" not in self.provider.input_keys:
            self.skip("nothing that a browser may send names a payment method: choose_method()")
        return {"payment_method": method_id}

    def webhook_body(self, driver: SessionDriver) -> bytes:
        """Return the body of a good event about an authorized session."""
        raise unittest.SkipTest(
            f"{type(self).__name__} doesn't say what a webhook looks like: webhook_body()"
        )

    def refund_webhook_body(self, driver: SessionDriver) -> bytes:
        """Refund a captured session where the provider's own dashboard would, and return the good event about that."""
        raise unittest.SkipTest(
            f"{type(self).__name__} doesn't say what a refund made elsewhere looks like: refund_webhook_body()"
        )

    def sign_webhook(self, body: bytes, *, timestamp: int) -> Mapping[str, str]:
        """Return the headers, in lower case, that prove a body at a Unix time."""
        raise unittest.SkipTest(f"{type(self).__name__} doesn't say how a webhook is signed: sign_webhook()")

    def secret_values(self, provider: BaseProvider[Any]) -> Iterable[str]:
        """Return what may never be shown: the options whose names say that they are a key, secret or token."""
        if is_dataclass(provider.options):
            yield from secrets_in(
                {option.name: getattr(provider.options, option.name) for option in fields(provider.options)}
            )

    # For the tests themselves

    @cached_property
    def provider(self) -> BaseProvider[Any]:
        """The provider under test."""
        _set_django_up()
        return self.make_provider()

    def provider_at(self, url: str, *, timeout: float) -> BaseProvider[Any]:
        """Return a provider that talks to `url`, or leave the test out where there can't be one."""
        _set_django_up()
        provider = self.make_provider_at(url, timeout=timeout)
        if provider is None:
            self.skip("make_provider_at() returns None")
        assert provider is not None
        return provider

    def skip(self, reason: str) -> None:
        """Leave the rest of a test out, under pytest as under unittest."""
        raise unittest.SkipTest(f"{type(self.provider).__name__}: {reason}")

    def require(self, *capabilities: str) -> None:
        """Leave a test out where the provider declares that it can't do what the test is about."""
        for capability in capabilities:
            if not getattr(self.provider, capability):
                self.skip(f"{capability} is False")

    def require_books(self) -> None:
        """Leave a test out where the provider keeps no books to compare with."""
        if not self.keeps_books:
            self.skip("keeps_books is False: the services alone see to this")

    def or_skip(self, attempt: Attempt | None, hook: str) -> Attempt:
        """Return an attempt, or leave the test out where its hook has none."""
        if attempt is None:
            self.skip(f"{hook}() returns None")
        assert attempt is not None
        return attempt

    def approved_in(self, currency_code: str | None, amount: str) -> Attempt:
        """Return an approved attempt in another currency, or leave the test out where it isn't taken."""
        if currency_code is None:
            self.skip("the currency attribute of this test is None")
        assert currency_code is not None
        return replace(self.approved(), currency_code=currency_code, amount=Decimal(amount))

    def start(self, attempt: Attempt | None = None) -> SessionDriver:
        """Return the driver of a session that isn't initiated."""
        return SessionDriver(
            provider=self.provider, attempt=attempt or self.approved(), payer=self.act_as_payer
        )

    def initiated(self, attempt: Attempt | None = None) -> SessionDriver:
        """Return the driver of an initiated session."""
        driver = self.start(attempt)
        succeeded(driver, driver.initiate())
        return driver

    def authorized(self, attempt: Attempt | None = None) -> SessionDriver:
        """Return the driver of an authorized session."""
        driver = self.initiated(attempt)
        result: AuthorizeResult = succeeded(driver, driver.authorize())
        assert result.next_action is None, "What approved() returns needs nothing more from the payer."
        return driver

    def captured(self, attempt: Attempt | None = None) -> SessionDriver:
        """Return the driver of a wholly captured session."""
        driver = self.authorized(attempt)
        succeeded(driver, driver.capture())
        return driver

    def parts(self) -> tuple[Decimal, Decimal]:
        """Return a part of the approved amount, and the rest of it."""
        amount = self.approved().amount
        part = (amount / 4).quantize(amount)
        return part, amount - part

    def unit(self) -> Decimal:
        """Return the smallest amount that the provider takes of the approved attempt's currency."""
        return self.provider.amount_step(self.approved().currency_code)


def _set_django_up() -> None:
    """Set Django up where no test runner has: a provider needs no settings, but translations need Django."""
    if not settings.configured and not os.environ.get(ENVIRONMENT_VARIABLE):
        settings.configure()
    if not apps.ready:
        django.setup()
