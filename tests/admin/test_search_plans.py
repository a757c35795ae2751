"""A search reads along indexes: no way to a row goes through a whole table of payments."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.db import models

from payments.admin import InspectionAdminMixin
from tests.admin.pages import INSPECTED

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

ULID = "01M86C9NC0ZBA0XHFCT49B3B63"
TERMS = (
    "int_66101e0bff1c36a7",
    *(f"{each}_{ULID}" for each in ("pay_col", "payses", "pay", "payop", "capt")),
)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("model", INSPECTED, ids=lambda model: model.__name__)
def test_search_scans_no_table_of_payments(model: type[models.Model], term: str) -> None:
    page = admin.site.get_model_admin(model)
    assert isinstance(page, InspectionAdminMixin)
    rows = page.search.find(model._default_manager.order_by("-pk"), term, may_view=lambda _model: True)
    plan = rows.explain()
    assert re.findall(r"SCAN payments_\w+", plan) == [], plan
