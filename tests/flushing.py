"""What a flush between two tests with real transactions puts back: content types and permissions, from memory.

Django finds out anew after each flush which of them there have to be, app by app and model by model, which takes ten
times as long as the flush.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.management import create_contenttypes
from django.contrib.contenttypes.models import ContentType
from django.db.models.signals import post_migrate


def remember_permissions() -> None:
    """Have every flush from now on put back the content types and permissions that there are now."""
    content_types, permissions = list(ContentType.objects.all()), list(Permission.objects.all())

    def put_back(using: str, **_arguments: Any) -> None:
        ContentType.objects.using(using).bulk_create(content_types, ignore_conflicts=True)
        Permission.objects.using(using).bulk_create(permissions, ignore_conflicts=True)

    post_migrate.disconnect(create_contenttypes)
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    post_migrate.connect(put_back, sender=apps.get_app_config("auth"), weak=False)
