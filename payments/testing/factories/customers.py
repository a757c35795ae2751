"""The factories of customers and of their accounts at a provider."""

from __future__ import annotations

from typing import Any

import factory
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password

from payments.models import AccountHolder
from payments.testing.factories.base import RowFactory
from payments.testing.factories.providers import PaymentProviderFactory
from payments.users import email_of


class CustomerFactory(RowFactory[AbstractBaseUser]):
    """Make a user of whatever model the shop has, as far as its user name and password go; subclass it for more."""

    class Meta:
        model = settings.AUTH_USER_MODEL

    password = factory.LazyFunction(lambda: make_password(None))

    @classmethod
    def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
        kwargs.setdefault(get_user_model().USERNAME_FIELD, f"customer{cls._meta.next_sequence()}@example.com")
        return kwargs


class AccountHolderFactory(RowFactory[AccountHolder]):
    """Make a customer's account at a provider."""

    class Meta:
        model = AccountHolder

    provider = factory.SubFactory(PaymentProviderFactory)
    customer = factory.SubFactory(CustomerFactory)
    provider_reference = factory.Sequence(lambda number: f"customer-{number}")
    email = factory.LazyAttribute(lambda row: email_of(row.customer) or "customer@example.com")
    provider_data = factory.LazyFunction(lambda: {"vault_token": "vt_private"})
