"""The contract's parts about money that moves: captures, refunds, and what is released instead."""

from __future__ import annotations

from decimal import Decimal

from payments.money import ZERO
from payments.providers import CancelResult, CaptureResult, RefundResult
from payments.states import MovementKind, Outcome, SessionStatus
from payments.testing.contract.driver import (
    SessionDriver,
    declined,
    expect,
    fact_of,
    is_frozen,
    states_amount,
    succeeded,
    total,
)
from payments.testing.contract.hooks import ContractHooks

_CAPTURE = MovementKind.CAPTURE
_REFUND = MovementKind.REFUND


class MovementHooks(ContractHooks):
    """A comparison of what was moved with what the provider reports."""

    def has_moved(self, driver: SessionDriver, *, captured: Decimal, refunded: Decimal = ZERO) -> None:
        """Check the provider's own account, where it can be asked."""
        if self.provider.supports_retrieve:
            fact = fact_of(driver)
            assert total(fact, _CAPTURE) == captured, f"Captured {captured}, the provider reports otherwise."
            assert total(fact, _REFUND) == refunded, f"Refunded {refunded}, the provider reports otherwise."


class CaptureContract(MovementHooks):
    """Tests of `capture`."""

    def test_capture_takes_the_whole_amount(self) -> None:
        driver = self.authorized()
        result = succeeded(driver, driver.capture())
        assert isinstance(result, CaptureResult)
        assert is_frozen(result)
        states_amount(result, driver.amount, driver.currency_code)
        self.has_moved(driver, captured=driver.amount)

    def test_capture_in_parts_adds_up(self) -> None:
        self.require("supports_partial_capture", "supports_multiple_captures")
        driver = self.authorized()
        part, rest = self.parts()
        states_amount(succeeded(driver, driver.capture(part)), part, driver.currency_code)
        self.has_moved(driver, captured=part)
        states_amount(succeeded(driver, driver.capture(rest)), rest, driver.currency_code)
        self.has_moved(driver, captured=driver.amount)

    def test_equal_parts_are_told_apart(self) -> None:
        self.require("supports_partial_capture", "supports_multiple_captures")
        driver = self.authorized()
        part, _rest = self.parts()
        first = succeeded(driver, driver.capture(part))
        second = succeeded(driver, driver.capture(part))
        if self.keeps_books:
            assert first.provider_reference != second.provider_reference
        self.has_moved(driver, captured=2 * part)

    def test_capturing_again_with_the_same_key_takes_the_money_once(self) -> None:
        self.require("supports_partial_capture")
        self.require_books()
        driver = self.authorized()
        part, _rest = self.parts()
        first = succeeded(driver, driver.capture(part))
        second = succeeded(driver, driver.resend())
        assert second.provider_reference == first.provider_reference
        self.has_moved(driver, captured=part)

    def test_capturing_more_than_is_authorized_is_declined(self) -> None:
        self.require_books()
        driver = self.authorized()
        declined(driver, driver.capture(driver.amount + self.unit()))
        self.has_moved(driver, captured=ZERO)

    def test_capturing_more_than_is_left_is_declined(self) -> None:
        self.require("supports_partial_capture", "supports_multiple_captures")
        self.require_books()
        driver = self.authorized()
        part, rest = self.parts()
        succeeded(driver, driver.capture(part))
        declined(driver, driver.capture(rest + self.unit()))
        self.has_moved(driver, captured=part)

    def test_capturing_a_captured_session_again_is_declined(self) -> None:
        self.require_books()
        driver = self.captured()
        declined(driver, driver.capture(self.unit()))
        self.has_moved(driver, captured=driver.amount)

    def test_capturing_before_authorization_is_declined(self) -> None:
        self.require_books()
        driver = self.initiated()
        declined(driver, driver.capture())
        self.has_moved(driver, captured=ZERO)


class RefundContract(MovementHooks):
    """Tests of `refund`."""

    def test_refund_gives_the_whole_amount_back(self) -> None:
        self.require("supports_refund")
        driver = self.captured()
        result = succeeded(driver, driver.refund())
        assert isinstance(result, RefundResult)
        assert is_frozen(result)
        states_amount(result, driver.amount, driver.currency_code)
        self.has_moved(driver, captured=driver.amount, refunded=driver.amount)

    def test_refund_in_parts_adds_up(self) -> None:
        self.require("supports_refund", "supports_partial_refund")
        driver = self.captured()
        part, rest = self.parts()
        states_amount(succeeded(driver, driver.refund(part)), part, driver.currency_code)
        self.has_moved(driver, captured=driver.amount, refunded=part)
        states_amount(succeeded(driver, driver.refund(rest)), rest, driver.currency_code)
        self.has_moved(driver, captured=driver.amount, refunded=driver.amount)

    def test_refunding_again_with_the_same_key_gives_the_money_back_once(self) -> None:
        self.require("supports_refund", "supports_partial_refund")
        self.require_books()
        driver = self.captured()
        part, _rest = self.parts()
        first = succeeded(driver, driver.refund(part))
        second = succeeded(driver, driver.resend())
        assert second.provider_reference == first.provider_reference
        self.has_moved(driver, captured=driver.amount, refunded=part)

    def test_refunding_more_than_was_captured_is_declined(self) -> None:
        self.require("supports_refund")
        self.require_books()
        driver = self.captured()
        declined(driver, driver.refund(driver.amount + self.unit()))
        self.has_moved(driver, captured=driver.amount)

    def test_refunding_more_than_is_left_is_declined(self) -> None:
        self.require("supports_refund", "supports_partial_refund")
        self.require_books()
        driver = self.captured()
        part, rest = self.parts()
        succeeded(driver, driver.refund(part))
        declined(driver, driver.refund(rest + self.unit()))
        self.has_moved(driver, captured=driver.amount, refunded=part)

    def test_refunding_what_was_not_captured_is_declined(self) -> None:
        self.require("supports_refund")
        self.require_books()
        driver = self.authorized()
        declined(driver, driver.refund())
        self.has_moved(driver, captured=ZERO)


class CancelContract(MovementHooks):
    """Tests of `cancel`."""

    def test_cancel_abandons_an_unauthorized_session(self) -> None:
        driver = self.initiated()
        result = succeeded(driver, driver.cancel())
        assert isinstance(result, CancelResult)
        assert is_frozen(result)
        if self.keeps_books:
            declined(driver, driver.authorize())

    def test_cancel_releases_the_whole_authorization(self) -> None:
        driver = self.authorized()
        succeeded(driver, driver.cancel(payment_id=driver.payment_id))
        self._is_released(driver, driver.amount)

    def test_cancel_releases_what_was_not_captured(self) -> None:
        self.require("supports_partial_capture")
        driver = self.authorized()
        part, rest = self.parts()
        captured = succeeded(driver, driver.capture(part))
        if captured.releases_remainder:
            self.skip("a capture releases the remainder by itself")
        succeeded(driver, driver.cancel(rest, payment_id=driver.payment_id))
        self.has_moved(driver, captured=part)
        self._is_released(driver, rest)

    def test_what_was_released_cannot_be_captured(self) -> None:
        self.require_books()
        driver = self.authorized()
        succeeded(driver, driver.cancel(payment_id=driver.payment_id))
        declined(driver, driver.capture())
        self.has_moved(driver, captured=ZERO)

    def test_canceling_twice_is_no_error(self) -> None:
        driver = self.authorized()
        succeeded(driver, driver.cancel(payment_id=driver.payment_id))
        again = driver.cancel(payment_id=driver.payment_id)
        expect(driver, again, Outcome.SUCCEEDED, Outcome.DECLINED)
        self._is_released(driver, driver.amount)

    def test_canceling_again_with_the_same_key_succeeds_again(self) -> None:
        driver = self.authorized()
        succeeded(driver, driver.cancel(payment_id=driver.payment_id))
        succeeded(driver, driver.resend())

    def test_canceling_what_is_captured_gives_nothing_back(self) -> None:
        self.require_books()
        driver = self.captured()
        result = expect(
            driver, driver.cancel(payment_id=driver.payment_id), Outcome.SUCCEEDED, Outcome.DECLINED
        )
        if result.outcome == Outcome.SUCCEEDED:
            assert result.fact is not None, (
                "Nothing is left to release: decline, or say with a fact that all of it is captured."
            )
            assert total(result.fact, _CAPTURE) == driver.amount
        self.has_moved(driver, captured=driver.amount)

    def _is_released(self, driver: SessionDriver, amount: Decimal) -> None:
        if not self.provider.supports_retrieve:
            return
        fact = fact_of(driver)
        is_whole = amount == driver.amount
        assert fact.canceled_amount == amount or (is_whole and fact.canceled_amount is None)
        if is_whole:
            assert fact.status == SessionStatus.CANCELED
