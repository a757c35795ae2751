"""The contract's part about customers' accounts, for a provider that keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from payments import ids
from payments.providers import PaymentContext, ProviderResult, account_holders, call_provider
from payments.states import Outcome
from payments.testing.contract.driver import (
    SessionDriver,
    declares,
    declined,
    is_frozen,
    is_json,
    states_amount,
    succeeded,
)
from payments.testing.contract.hooks import ContractHooks

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT", bound=ProviderResult)

LONGEST_LAST_DIGITS = 4


@dataclass(kw_only=True)
class AccountDriver:
    """One customer's account at a provider, driven as the services do."""

    provider: account_holders.AccountHolderProvider
    account_holder_id: str = field(default_factory=ids.new_account_holder_id)
    account_reference: str = ""

    def create(self, *, is_retry: bool = False) -> account_holders.CreateAccountResult:
        """Ask for the account, always under the same key."""
        request = account_holders.CreateAccountRequest(
            account_holder_id=self.account_holder_id,
            idempotency_key=f"{self.account_holder_id}-0",
            customer_id=self.account_holder_id[-12:],
            email="payer@example.com",
            is_retry=is_retry,
        )
        result = ask(self.provider.create_account, request, account_holders.CreateAccountResult)
        self.account_reference = result.provider_reference or ""
        return result

    def methods(self) -> tuple[account_holders.SavedPaymentMethod, ...]:
        """Return what is saved."""
        request = account_holders.AccountRequest(
            account_holder_id=self.account_holder_id, account_reference=self.account_reference
        )
        return ask(self.provider.list_methods, request, account_holders.ListMethodsResult).methods

    def add(self) -> account_holders.AddMethodResult:
        """Start saving a payment method."""
        request = account_holders.AddMethodRequest(
            account_holder_id=self.account_holder_id,
            account_reference=self.account_reference,
            idempotency_key=ids.new_id("addpm"),
            return_url="https://shop.example/back",
        )
        return ask(self.provider.add_method, request, account_holders.AddMethodResult)

    def remove(self, method_id: str) -> account_holders.RemoveMethodResult:
        """Have a saved payment method forgotten."""
        request = account_holders.RemoveMethodRequest(
            account_holder_id=self.account_holder_id,
            account_reference=self.account_reference,
            idempotency_key=ids.new_id("rempm"),
            method_id=method_id,
        )
        return ask(self.provider.remove_method, request, account_holders.RemoveMethodResult)

    def delete(self) -> account_holders.DeleteAccountResult:
        """Have the account deleted for good."""
        request = account_holders.AccountRequest(
            account_holder_id=self.account_holder_id, account_reference=self.account_reference
        )
        return ask(self.provider.delete_account, request, account_holders.DeleteAccountResult)


def ask(verb: Callable[[RequestT], ResultT], request: RequestT, result_class: type[ResultT]) -> ResultT:
    """Call a verb as the services do, with whatever keys it publishes, and expect a success."""
    # A bound method would have undeclared keys dropped before a test has seen them.
    result = call_provider(lambda sent: verb(sent), request, result_class=result_class)  # noqa: PLW0108
    assert result.outcome == Outcome.SUCCEEDED, f"Expected a success, got {result.outcome}: {result.failure}"
    assert is_frozen(result)
    return result


class AccountContract(ContractHooks):
    """Tests of the second, optional protocol."""

    def test_an_account_is_made_once_however_often_it_is_asked_for(self) -> None:
        account = self._account()
        first = account.account_reference
        assert first, "The account's own id is provider_reference."
        assert account.create().provider_reference == first
        assert account.create(is_retry=True).provider_reference == first

    def test_two_customers_have_two_accounts(self) -> None:
        self.require_books()
        assert self._account().account_reference != self._account().account_reference

    def test_an_account_s_private_data_is_json(self) -> None:
        assert is_json(dict(self._account().create().provider_data))

    def test_a_new_account_has_nothing_saved(self) -> None:
        self.require_books()
        assert self._account().methods() == ()

    def test_saving_gives_the_browser_declared_keys_and_something_to_do(self) -> None:
        added = self._account().add()
        declares(self.provider, added.data)
        assert is_json(dict(added.data or {}))
        assert added.data or added.next_action, "A browser needs data, or somewhere to go."

    def test_nothing_is_saved_before_the_browser_has_gone_on(self) -> None:
        self.require_books()
        account = self._account()
        account.add()
        assert account.methods() == ()

    def test_saved_methods_are_listed_newest_first_and_told_apart_by_a_few_digits(self) -> None:
        account = self._account()
        [first] = self._saved(account)
        newest, oldest = self._saved(account)
        assert oldest == first
        assert newest.id != oldest.id
        for method in (newest, oldest):
            assert method.type, "Say what kind it is, such as card."
            assert len(method.last4) <= LONGEST_LAST_DIGITS, "No more than the last four digits."
            assert re.fullmatch(r"(\d{4}-(0[1-9]|1[0-2]))?", method.expires), "Such as 2034-12, or nothing."

    def test_what_one_customer_has_saved_is_not_another_s(self) -> None:
        self.require_books()
        self._saved(self._account())
        assert self._account().methods() == ()

    def test_a_removed_method_is_gone_and_the_others_stay(self) -> None:
        account = self._account()
        [kept] = self._saved(account)
        removed, _kept = self._saved(account)
        account.remove(removed.id)
        assert account.methods() == (kept,)

    def test_a_saved_method_pays_while_its_customer_is_away(self) -> None:
        account = self._account()
        [method] = self._saved(account)
        driver = self._paying(account)
        result = succeeded(driver, driver.authorize(input={}, saved_method=method.id))
        assert result.next_action is None
        states_amount(result, driver.amount, driver.currency_code)
        again = succeeded(driver, driver.resend())
        assert again.provider_reference == result.provider_reference, "The same key pays once."

    def test_another_customer_s_method_pays_nothing(self) -> None:
        account = self._account()
        [method] = self._saved(account)
        driver = self._paying(self._account())
        declined(driver, driver.authorize(input={}, saved_method=method.id))

    def test_what_is_saved_pays_nothing_for_who_is_not_known_to_be_its_customer(self) -> None:
        account = self._account()
        [method] = self._saved(account)
        driver = self._paying(account)
        chosen = dict(self.choose_method(method.id))
        theirs = declined(driver, driver.authorize(input=chosen, refuses_saved=True))
        unknown = dict(self.choose_method(f"{method.id}0"))
        missing = declined(driver, driver.authorize(input=unknown))
        assert theirs.failure is not None
        assert missing.failure is not None
        assert (theirs.failure.code, theirs.failure.message) == (
            missing.failure.code,
            missing.failure.message,
        )
        succeeded(driver, driver.authorize(input=chosen))

    def test_a_removed_method_pays_nothing(self) -> None:
        account = self._account()
        [method] = self._saved(account)
        account.remove(method.id)
        driver = self._paying(account)
        declined(driver, driver.authorize(input={}, saved_method=method.id))

    def test_a_deleted_account_pays_nothing_and_may_be_deleted_again(self) -> None:
        account = self._account()
        if type(account.provider).delete_account is account_holders.AccountHolderProvider.delete_account:
            self.skip("it deletes no accounts")
        [method] = self._saved(account)
        driver = self._paying(account)
        for _time in range(2):
            account.delete()
        declined(driver, driver.authorize(input={}, saved_method=method.id))

    def test_a_customer_whose_bank_wants_them_comes_back_and_authorizes(self) -> None:
        account = self._account()
        [method] = self._saved(account, asks_bank=True)
        driver = self._paying(account)
        away = succeeded(driver, driver.authorize(input={}, saved_method=method.id))
        assert away.next_action is not None, "The customer has to do something: nothing is held yet."
        other = driver.authorize(input={}, refuses_saved=True)
        assert other.outcome in (Outcome.SUCCEEDED, Outcome.DECLINED)
        if other.outcome == Outcome.SUCCEEDED:
            assert other.next_action == away.next_action, "Somebody else asks: the customer's bank isn't."
        present = succeeded(driver, driver.authorize(input={}))
        assert present.next_action is not None, "Now they are there, and are told what to do."
        finished = succeeded(driver, driver.authorize(input=dict(self.pass_challenge(driver))))
        assert finished.next_action is None
        states_amount(finished, driver.amount, driver.currency_code)

    def _account(self) -> AccountDriver:
        """Return the driver of a new customer's account; leave the test out where the provider keeps none."""
        if not isinstance(self.provider, account_holders.AccountHolderProvider):
            self.skip("it keeps no accounts of customers")
        account = AccountDriver(provider=cast(account_holders.AccountHolderProvider, self.provider))
        account.create()
        return account

    def _saved(
        self, account: AccountDriver, *, asks_bank: bool = False
    ) -> tuple[account_holders.SavedPaymentMethod, ...]:
        """Save one more payment method, and return all."""
        self.save_method(account.account_reference, account.add(), asks_bank=asks_bank)
        return account.methods()

    def _paying(self, account: AccountDriver) -> SessionDriver:
        """Return the driver of an initiated session that is paid from an account."""
        driver = self.start()
        driver.context = PaymentContext(
            return_url="https://shop.example/back", account_reference=account.account_reference
        )
        succeeded(driver, driver.initiate())
        return driver
