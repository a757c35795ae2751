"""The second, optional protocol of a provider: customers with saved payment methods.

A provider that keeps accounts implements `AccountHolderProvider` besides `BaseProvider`.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from payments.providers.facts import Failure, NextAction
from payments.providers.results import ProviderResult
from payments.states import Outcome

ACCOUNT_DELETED: Final = "account_deleted"
"""The code of a refusal which says that an account was deleted for good, and all that was saved with it.

The services then make the account anew, so a provider only says so where its third party does: an account that isn't
found may be there under other credentials.
"""


@dataclass(frozen=True, kw_only=True)
class SavedPaymentMethod:
    """A saved payment method as its owner sees it: enough to recognize it, and no more.

    `expires` is the last month in which it can be used, as `2034-12`.
    """

    id: str
    type: str
    brand: str = ""
    last4: str = ""
    expires: str = ""


@dataclass(frozen=True, kw_only=True)
class CreateAccountRequest:
    """A request for an account for a customer; `is_retry` tells that it may have been made before.

    An account must not be made twice, so the key is that of a row which was there first.
    """

    account_holder_id: str
    idempotency_key: str
    customer_id: str
    email: str | None = field(default=None, repr=False)
    is_retry: bool = False


@dataclass(frozen=True, kw_only=True)
class AccountRequest:
    """A request about an account; `provider_data` is what the provider keeps of it, as `create_account` said."""

    account_holder_id: str
    account_reference: str
    provider_data: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class AddMethodRequest(AccountRequest):
    """A request for what a browser needs to save a payment method; `return_url` is where a bank sends it back."""

    idempotency_key: str
    return_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class RemoveMethodRequest(AccountRequest):
    """A request to forget a saved payment method."""

    idempotency_key: str
    method_id: str


@dataclass(frozen=True, kw_only=True)
class CreateAccountResult(ProviderResult):
    """The answer to a CreateAccountRequest; the reference is `provider_reference`."""

    provider_data: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class ListMethodsResult(ProviderResult):
    """The answer to an AccountRequest with the saved payment methods, newest first."""

    methods: tuple[SavedPaymentMethod, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AddMethodResult(ProviderResult):
    """The answer to an AddMethodRequest.

    `data` goes to the customer's browser, with keys that are declared public; `next_action` says what to do with it.
    """

    data: Mapping[str, Any] | None = field(default=None, repr=False)
    next_action: NextAction | None = None


@dataclass(frozen=True, kw_only=True)
class RemoveMethodResult(ProviderResult):
    """The answer to a RemoveMethodRequest."""


@dataclass(frozen=True, kw_only=True)
class DeleteAccountResult(ProviderResult):
    """The answer to an AccountRequest that asks to delete an account."""


class AccountHolderProvider(abc.ABC):
    """A provider that keeps accounts of customers, with their saved payment methods."""

    @abc.abstractmethod
    def create_account(self, request: CreateAccountRequest) -> CreateAccountResult:
        """Make an account, or return the one that was made under this key."""

    @abc.abstractmethod
    def list_methods(self, request: AccountRequest) -> ListMethodsResult:
        """List the saved payment methods of an account."""

    @abc.abstractmethod
    def add_method(self, request: AddMethodRequest) -> AddMethodResult:
        """Start saving a payment method, which a browser goes on with."""

    @abc.abstractmethod
    def remove_method(self, request: RemoveMethodRequest) -> RemoveMethodResult:
        """Forget a saved payment method, if it is this account's."""

    def delete_account(self, request: AccountRequest) -> DeleteAccountResult:
        """Delete an account for good, with all that is saved in it; one that is gone already counts as deleted.

        This is optional: where a provider can't, an erased customer's account is left to a person.
        """
        return DeleteAccountResult(outcome=Outcome.DECLINED, failure=Failure(code="not_supported"))
