"""Users as another project has them: known by a UUID."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class Person(AbstractUser):
    """A user with a UUID for a key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
