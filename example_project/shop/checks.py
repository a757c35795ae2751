"""What the example shop can't do without outside of DEBUG: keys that aren't printed in its own settings."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error

PUBLISHED_KEY: Final = "only-for-the-example-project"


def check_secret_key(app_configs: Any = None, **_options: Any) -> list[CheckMessage]:
    """Refuse the key that everybody can read: it opens every session and every payment collection."""
    if settings.DEBUG or settings.SECRET_KEY != PUBLISHED_KEY:
        return []
    return [
        Error(
            "DJANGO_DEBUG is 0, and SECRET_KEY is the one that the example's settings print.",
            hint="Set one in the environment: "
            "export DJANGO_SECRET_KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(50))')",
            id="example_shop.E001",
        )
    ]
