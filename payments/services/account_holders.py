"""Customers with saved payment methods: their accounts at providers, and off-session charges."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DatabaseError
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import (
    DeclinedError,
    InputError,
    NotFoundError,
    NotSupportedError,
    OutcomeUnknownError,
    ProviderUnavailableError,
)
from payments.ids import new_id
from payments.models import AccountHolder, PaymentSession
from payments.providers import BaseProvider, NextAction, ProviderResult, call_provider, get_provider
from payments.providers.account_holders import (
    ACCOUNT_DELETED,
    AccountHolderProvider,
    AccountRequest,
    AddMethodRequest,
    AddMethodResult,
    CreateAccountRequest,
    CreateAccountResult,
    DeleteAccountResult,
    ListMethodsResult,
    RemoveMethodRequest,
    RemoveMethodResult,
    SavedPaymentMethod,
)
from payments.providers.calls import check_no_transaction
from payments.services.ledger.history import Actor
from payments.services.ledger.locks import drop_lost_connection, get_or_insert
from payments.services.providers import usable_provider
from payments.services.sessions import authorize_payment_session
from payments.states import EventSource, Outcome
from payments.stored import told_words
from payments.users import email_of, user_of

logger = logging.getLogger("payments.account_holders")

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT", bound=ProviderResult)


@dataclass(frozen=True, kw_only=True)
class PaymentMethodSetup:
    """What a customer's browser needs to save a payment method, and the action that it takes next."""

    data: Mapping[str, Any] = field(default_factory=dict)
    next_action: NextAction | None = None


def keeps_saved_payment_methods(provider_id: str) -> bool:
    """Return whether a provider keeps accounts with saved payment methods. Raises NotFoundError."""
    return isinstance(get_provider(provider_id), AccountHolderProvider)


def find_account_holder(customer: AbstractBaseUser, *, provider_id: str) -> AccountHolder | None:
    """Return a customer's account at a provider, or None if they don't have one yet.

    Raises NotFoundError, and NotSupportedError if the provider keeps no accounts.
    """
    _keeping_accounts(get_provider(provider_id))
    user = user_of(customer, field="customer")
    if user is None:
        return None
    rows = AccountHolder.objects.filter(provider=provider_id, customer_id=user.pk)
    return rows.exclude(provider_reference=None).first()


def create_account_holder(
    customer: AbstractBaseUser, *, provider_id: str, email: str | None = None
) -> AccountHolder:
    """Return a customer's account at a provider, creating it there if it doesn't exist yet.

    Two calls create one account, also at the same time or after a lost answer.
    Raises NotFoundError, InputError, NotSupportedError, and for the provider's answer DeclinedError,
    ProviderUnavailableError or OutcomeUnknownError.
    """
    check_no_transaction()
    provider = _keeping_accounts(usable_provider(provider_id))
    user = user_of(customer, field="customer")
    if user is None:
        raise InputError(
            _("A guest has no account with a payment provider."), code="unknown_user", field="customer"
        )
    holder, is_new = get_or_insert(
        AccountHolder.objects.all(),
        provider_id=provider_id,
        customer_id=user.pk,
        defaults={"email": email or email_of(user) or ""},
    )
    if holder.provider_reference is not None:
        return holder
    request = CreateAccountRequest(
        account_holder_id=holder.pk,
        idempotency_key=f"{holder.pk}-{holder.refusals}",
        customer_id=str(user.pk),
        email=holder.email or None,
        is_retry=not is_new,
    )
    result = call_provider(provider.create_account, request, result_class=CreateAccountResult)
    try:
        return _record_account(holder, result)
    except DatabaseError as error:
        drop_lost_connection()
        raise _unknown_outcome() from error


def list_saved_payment_methods(holder: AccountHolder) -> tuple[SavedPaymentMethod, ...]:
    """Return the payment methods that a customer has saved with a provider, newest first.

    Returns an empty tuple if the provider has deleted the account; a new account can then be created.
    Raises as `create_account_holder` does.
    """
    provider = _keeping_accounts(get_provider(holder.provider_id))
    request = AccountRequest(**_account(holder))
    try:
        return _call(provider.list_methods, request, ListMethodsResult).methods
    except DeclinedError as error:
        if error.code != ACCOUNT_DELETED:
            raise
        _forget_account(holder)
        return ()


def delete_account(holder: AccountHolder) -> None:
    """Have a provider delete a customer's account for good, with every saved payment method, and forget it here.

    Raises as `create_account_holder` does, also if the provider can't delete accounts.
    """
    provider = _keeping_accounts(get_provider(holder.provider_id))
    request = AccountRequest(**_account(holder))
    _call(provider.delete_account, request, DeleteAccountResult)
    _forget_account(holder)


def forget_person(customer: AbstractBaseUser) -> None:
    """Blank the e-mail addresses of a customer's accounts.

    The idempotency key of a request still without an answer ends, since the same key must send the same address.
    """
    for holder in AccountHolder.objects.filter(customer_id=customer.pk):
        is_asked_for = holder.provider_reference is None and holder.email
        AccountHolder.objects.filter(pk=holder.pk).update(
            email="", refusals=F("refusals") + (1 if is_asked_for else 0), updated_at=timezone.now()
        )


def start_adding_payment_method(
    holder: AccountHolder, *, return_url: str | None = None
) -> PaymentMethodSetup:
    """Return what the customer's browser needs to save a payment method.

    The provider or a bank sends the browser back to `return_url`. If the provider has deleted the account, a new
    account is created. Raises as `create_account_holder` does.
    """
    try:
        return _start_adding(holder, return_url)
    except DeclinedError as error:
        if error.code != ACCOUNT_DELETED or holder.customer is None:
            raise
    _forget_account(holder)
    create_account_holder(holder.customer, provider_id=holder.provider_id)
    holder.refresh_from_db()
    return _start_adding(holder, return_url)


def remove_saved_payment_method(holder: AccountHolder, method_id: str) -> None:
    """Have a provider forget a saved payment method.

    Raises NotFoundError if the method isn't this customer's, and otherwise as `create_account_holder` does.
    """
    if method_id not in {method.id for method in list_saved_payment_methods(holder)}:
        raise _unknown_method()
    provider = _keeping_accounts(get_provider(holder.provider_id))
    request = RemoveMethodRequest(
        **_account(holder),
        idempotency_key=new_id("rempm"),
        method_id=method_id,
    )
    _call(provider.remove_method, request, RemoveMethodResult)
    holder.save_fields()  # The new `updated_at` makes an operator's open page stale.


def charge_saved_payment_method(
    session: PaymentSession,
    *,
    method_id: str | None = None,
    actor: Actor = None,
    source: str = EventSource.SHOP,
) -> PaymentSession:
    """Authorize a session off-session, such as a due installment, with a payment method that its customer has saved.

    Without `method_id` the newest method is charged. If the bank wants the customer to confirm, the session is
    `requires_more`: bring the customer back and authorize the session again, without data.
    Raises NotFoundError if the customer has no account or no such method, and otherwise as
    `authorize_payment_session` does.
    """
    holder = _holder_of(session)
    saved = [method.id for method in list_saved_payment_methods(holder)]
    chosen = method_id or next(iter(saved), None)
    if chosen is None or chosen not in saved:
        raise _unknown_method()
    return authorize_payment_session(session, saved_method=chosen, actor=actor, source=source)


def _start_adding(holder: AccountHolder, return_url: str | None) -> PaymentMethodSetup:
    provider = _keeping_accounts(get_provider(holder.provider_id))
    request = AddMethodRequest(
        **_account(holder),
        idempotency_key=new_id("addpm"),
        return_url=return_url,
    )
    result = _call(provider.add_method, request, AddMethodResult)
    return PaymentMethodSetup(data=result.data or {}, next_action=result.next_action)


def _forget_account(holder: AccountHolder) -> None:
    """Record that the provider has deleted an account, and end its idempotency key.

    Nothing changes if another process has created a new account meanwhile.
    """
    deleted = AccountHolder.objects.filter(pk=holder.pk, provider_reference=holder.provider_reference)
    logger.warning("%s: the provider has deleted the account %s.", holder.pk, holder.provider_reference)
    deleted.update(
        provider_reference=None, provider_data={}, refusals=holder.refusals + 1, updated_at=timezone.now()
    )
    holder.refresh_from_db()


def _record_account(holder: AccountHolder, result: CreateAccountResult) -> AccountHolder:
    """Record the provider's reference of an account, unless another process was first.

    A refusal is counted, which ends the idempotency key.
    """
    unanswered = AccountHolder.objects.filter(pk=holder.pk, provider_reference=None)
    if result.outcome == Outcome.DECLINED:
        unanswered.update(refusals=holder.refusals + 1, updated_at=timezone.now())
    _raise_for(result)
    if not result.provider_reference:
        raise _unknown_outcome()
    unanswered.update(
        provider_reference=result.provider_reference,
        provider_data=dict(result.provider_data),
        updated_at=timezone.now(),
    )
    holder.refresh_from_db()
    return holder


def _call(verb: Callable[[RequestT], ResultT], request: RequestT, result_class: type[ResultT]) -> ResultT:
    result = call_provider(verb, request, result_class=result_class)
    _raise_for(result)
    return result


def _raise_for(result: ProviderResult) -> None:
    """Raise the error that an answer stands for, unless it is a success."""
    failure = result.failure
    if result.outcome == Outcome.DECLINED:
        message = told_words(str(failure.message)) if failure else ""
        raise DeclinedError(
            message or _("The payment provider declined."), code=failure.code if failure else None
        )
    if result.outcome == Outcome.NOT_SENT:
        raise ProviderUnavailableError(
            _("The payment provider can't be reached right now. Nothing was changed; try again.")
        )
    if result.outcome != Outcome.SUCCEEDED:
        raise _unknown_outcome()


def _keeping_accounts(provider: BaseProvider[Any]) -> AccountHolderProvider:
    if not isinstance(provider, AccountHolderProvider):
        raise NotSupportedError(
            _("The provider “%(alias)s” keeps no saved payment methods."),
            field="provider_id",
            params={"alias": provider.alias},
        )
    return provider


def _holder_of(session: PaymentSession) -> AccountHolder:
    customer_id = session.collection.customer_id
    holder = AccountHolder.objects.filter(provider=session.provider_id, customer=customer_id).first()
    if customer_id is None or holder is None:
        raise _no_account()
    return holder


def _account(holder: AccountHolder) -> dict[str, Any]:
    """Return the fields that every request about an account has."""
    if holder.provider_reference is None:
        raise _no_account()
    return {
        "account_holder_id": holder.pk,
        "account_reference": holder.provider_reference,
        "provider_data": holder.provider_data,
    }


def _no_account() -> NotFoundError:
    return NotFoundError(_("The customer has no account with this payment provider."), code="no_account")


def _unknown_method() -> NotFoundError:
    return NotFoundError(
        _("The customer has saved no such payment method."), code="unknown_payment_method", field="method_id"
    )


def _unknown_outcome() -> OutcomeUnknownError:
    return OutcomeUnknownError(_("The payment provider gave no usable answer; try again."))
