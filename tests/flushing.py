"""A flush between two tests with real transactions that costs a few milliseconds.

Django's asks the database for its tables, truncates all of them, which PostgreSQL does by writing each and its indexes
anew, and then finds out app by app and model by model which content types and permissions there have to be.
"""

from __future__ import annotations

from itertools import compress

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import Max, Model
from django.test import TransactionTestCase

KEPT: tuple[type[Model], ...] = (ContentType, Permission)


def cheapen_flushes() -> None:
    """Have every flush from now on delete all rows, but for the content types and permissions that there are now."""
    quote = connection.ops.quote_name
    kept = {model._meta.db_table: model._default_manager.aggregate(last=Max("pk"))["last"] for model in KEPT}
    goners = [
        f"FROM {quote(table)}" + (f" WHERE id > {kept[table]}" if table in kept else "")
        for table in connection.introspection.django_table_names(only_existing=True, include_views=False)
    ]
    # Most tables are empty, and one statement tells which.
    look = "SELECT " + ", ".join(f"EXISTS (SELECT 1 {goner})" for goner in goners)

    def flush(_test: TransactionTestCase) -> None:
        # Where constraints can't be checked at the end of a transaction, they aren't checked.
        with connection.constraint_checks_disabled(), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(look)
            for goner in compress(goners, cursor.fetchone()):
                cursor.execute(f"DELETE {goner}")

    TransactionTestCase._fixture_teardown = flush  # type: ignore[attr-defined]
