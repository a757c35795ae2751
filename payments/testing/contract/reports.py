"""The contract's part about what a provider reports when it is asked: whole facts, in cumulative amounts."""

from __future__ import annotations

from payments.ids import new_session_id
from payments.money import exponent
from payments.providers import MovementFact, RetrieveResult, SessionFact
from payments.states import MovementKind, SessionStatus
from payments.testing.contract.expectations import (
    declares,
    fact_of,
    fits,
    is_frozen,
    is_json,
    moved,
    succeeded,
    total,
)
from payments.testing.contract.hooks import ContractHooks


class ReportContract(ContractHooks):
    """Test `retrieve`."""

    def test_retrieve_knows_nothing_of_an_unknown_session(self) -> None:
        self.require("supports_retrieve")
        driver = self.start()
        result = succeeded(driver, driver.retrieve(session_id=new_session_id()))
        assert isinstance(result, RetrieveResult)
        assert result.fact is None, "A session that isn't there is a success without a fact."

    def test_retrieve_knows_nothing_of_an_unknown_reference(self) -> None:
        self.require("supports_retrieve")
        driver = self.initiated()
        known = driver.provider_reference or ""
        unknown = known[:-1] + ("0" if known[-1:] != "0" else "1")
        result = succeeded(
            driver,
            driver.retrieve(session_id=new_session_id(), provider_reference=unknown, provider_data={}),
        )
        assert result.fact is None

    def test_a_session_whose_reference_was_lost_is_found_by_its_id(self) -> None:
        self.require("supports_retrieve")
        if not self.finds_by_session_id:
            self.skip("finds_by_session_id is False")
        driver = self.authorized()
        result = succeeded(driver, driver.retrieve(provider_reference=None, provider_data={}))
        assert result.fact is not None
        assert result.fact.provider_reference == driver.provider_reference
        assert result.fact.authorized_amount == driver.amount

    def test_an_initiated_session_waits_for_its_payer(self) -> None:
        self.require("supports_retrieve")
        driver = self.initiated()
        fact = fact_of(driver)
        assert fact.status in (SessionStatus.PENDING, SessionStatus.REQUIRES_MORE, None)
        assert (fact.status == SessionStatus.REQUIRES_MORE) == (fact.next_action is not None)
        assert fact.amount in (driver.amount, None)

    def test_facts_add_up_over_a_session_s_life(self) -> None:
        self.require(
            "supports_retrieve",
            "supports_partial_capture",
            "supports_multiple_captures",
            "supports_refund",
            "supports_partial_refund",
        )
        driver = self.authorized()
        part, rest = self.parts()
        for amount in (part, rest):
            succeeded(driver, driver.capture(amount))
        for expected in (part, 2 * part):
            succeeded(driver, driver.refund(part))
            fact = fact_of(driver)
            assert total(fact, MovementKind.CAPTURE) == driver.amount
            assert total(fact, MovementKind.REFUND) == expected
            assert fact.authorized_amount == driver.amount, "What was held stays what it was."
            assert fact.status == SessionStatus.AUTHORIZED, "Refunds don't undo the authorization."

    def test_movements_echo_the_operations_that_asked_for_them(self) -> None:
        self.require("supports_retrieve", "supports_partial_capture", "supports_multiple_captures")
        if not self.reports_movements:
            self.skip("reports_movements is False")
        driver = self.authorized()
        operation_ids = []
        for amount in self.parts():
            succeeded(driver, driver.capture(amount))
            operation_ids.append(driver.operation_ids[-1])
        captures = moved(fact_of(driver), MovementKind.CAPTURE)
        assert [each.operation_id for each in captures] == operation_ids
        assert [each.amount for each in captures] == list(self.parts())
        assert len({each.provider_reference for each in captures}) == len(captures)

    def test_facts_are_frozen_and_typed(self) -> None:
        self.require("supports_retrieve")
        driver = self.captured()
        fact = fact_of(driver)
        assert isinstance(fact, SessionFact)
        assert isinstance(fact.movements, tuple)
        assert is_frozen(fact)
        for movement in fact.movements:
            assert isinstance(movement, MovementFact)
            assert is_frozen(movement)
            assert movement.currency_code == driver.currency_code

    def test_facts_state_exact_amounts(self) -> None:
        self.require("supports_retrieve")
        driver = self.captured()
        fact = fact_of(driver)
        stated = (
            fact.amount,
            fact.authorized_amount,
            fact.captured_amount,
            fact.refunded_amount,
            fact.canceled_amount,
            fact.charged_back_amount,
            *(each.amount for each in fact.movements),
        )
        for amount in stated:
            assert amount is None or fits(amount, fact.currency_code), (
                f"{amount} has more than {exponent(fact.currency_code)} decimals."
            )

    def test_facts_publish_declared_keys_only(self) -> None:
        self.require("supports_retrieve")
        driver = self.authorized()
        fact = fact_of(driver)
        declares(self.provider, fact.data)
        assert is_json(dict(fact.data or {}))
        assert is_json(dict(fact.provider_data or {}))

    def test_asking_changes_nothing(self) -> None:
        self.require("supports_retrieve")
        driver = self.captured()
        assert fact_of(driver) == fact_of(driver)
