"""A row of every kind, and where the pages are that show them."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.urls import reverse

from payments.models import PaymentCollection, PaymentEvent, PaymentOperation
from payments.services import create_account_holder, create_installment_plan
from tests.admin.acting import action_url
from tests.admin.pages import listing, page
from tests.admin.scenes import (
    make_attention,
    make_authorized,
    make_collection,
    make_customer,
    make_eventful,
    make_webhook,
)


def make_pages() -> dict[str, str]:
    """Make rows and a superuser, and return the addresses of all pages by a name for each."""
    olivia = get_user_model().objects.create_superuser("olivia", "olivia@shop.example", "password")
    collection = make_eventful(actor=olivia)
    make_webhook(collection)
    holder = create_account_holder(make_customer(), provider_id="scripted")
    plan = make_collection("100.00", customer=make_customer("ben"))
    create_installment_plan(plan, provider_id="card", count=3, interval="month")
    held = make_authorized(make_collection("60.00", customer=make_customer("carla")))
    make_authorized(make_collection("4800", "jpy"))
    attention = make_attention()
    payment = collection.payments.get(provider="card")
    shown: dict[type[Model], Model] = {type(row): row for row in (collection, payment, attention)}
    return {
        "application": reverse("admin:app_list", args=["payments"]),
        "overview": reverse("admin:payments_overview"),
        **_lists_and_rows(shown),
        # Not all there are: what axe costs is by the row.
        "list of PaymentEvent": listing(PaymentEvent, f"?q={held.collection_id}"),
        "list of PaymentOperation": listing(PaymentOperation, f"?q={attention.collection_id}"),
        "nothing found": listing(PaymentCollection, "?q=nothing-like-this"),
        "collection with a plan": page(plan),
        "held payment": page(held),
        "saved methods": reverse("admin:payments_accountholder_saved_methods", args=[quote(holder.pk)]),
        "refund": action_url(payment, "refund"),
        "cancel": action_url(plan, "cancel"),
        "resolve": action_url(attention, "resolve"),
        "remove method": action_url(holder, "remove-method"),
    }


def _lists_and_rows(shown: Mapping[type[Model], Model]) -> dict[str, str]:
    """Return the list of every model that has pages, and the page of a row of each: the one shown, or any."""
    found: dict[str, str] = {}
    for model in admin.site._registry:
        if model._meta.app_label in {"payments", "shop"}:
            row = shown.get(model) or model._default_manager.first()
            assert row is not None, f"there is no row of {model.__name__}"
            found[f"list of {model.__name__}"] = listing(model)
            found[model.__name__] = page(row)
    return found
