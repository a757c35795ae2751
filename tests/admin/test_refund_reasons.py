"""Refund reasons are the shop's own words."""

from __future__ import annotations

import pytest
from django.test import Client

from payments.models import Refund, RefundReason
from tests.admin.conftest import Viewer
from tests.admin.pages import html, listing, page
from tests.admin.scenes import make_eventful

pytestmark = pytest.mark.django_db


def test_reasons_are_added_and_changed(operator: Client) -> None:
    form = {"label": "Wrong size", "description": "", "metadata": "{}"}
    assert operator.post(listing(RefundReason) + "add/", form).status_code == 302
    reason = RefundReason.objects.get()
    assert operator.post(page(reason), form | {"label": "Too small"}).status_code == 302
    reason.refresh_from_db()
    assert reason.label == "Too small"


def test_two_reasons_cannot_have_one_label(operator: Client) -> None:
    RefundReason.objects.create(label="Wrong size")
    shown = operator.post(listing(RefundReason) + "add/", {"label": "Wrong size", "metadata": "{}"})
    assert "already exists" in shown.content.decode()


def test_reason_that_nobody_used_is_deleted_and_one_that_is_used_stays(operator: Client) -> None:
    unused = RefundReason.objects.create(label="Never happened")
    assert operator.post(page(unused, action="delete"), {"post": "yes"}).status_code == 302
    make_eventful()
    used = Refund.objects.exclude(reason=None)[0].reason
    assert used is not None
    operator.post(page(used, action="delete"), {"post": "yes"})
    assert list(RefundReason.objects.all()) == [used]


def test_view_permission_only_shows_reasons(viewer: Viewer) -> None:
    reason = RefundReason.objects.create(label="Wrong size")
    client = viewer("view_refundreason")
    assert "Wrong size" in html(client, page(reason))
    assert client.post(page(reason), {"label": "Other"}).status_code == 403
