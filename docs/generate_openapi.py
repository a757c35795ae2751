"""Write docs/openapi.yaml from the views and serializers: `python docs/generate_openapi.py`.

It needs the extra `openapi`, and neither a database nor a project's settings.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import django
from django.conf import settings

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "openapi.yaml"
COMMAND: Final = "python docs/generate_openapi.py"
HEADER: Final = (
    f"# Written by `{COMMAND}` from the views and serializers in payments/api. Change those, not this file.\n"
)


def openapi_page() -> str:
    """Return the document as YAML."""
    from drf_spectacular.renderers import OpenApiYamlRenderer  # noqa: PLC0415 - Django must be set up first

    from docs.openapi.generator import openapi_document  # noqa: PLC0415

    text: bytes = OpenApiYamlRenderer().render(openapi_document(), renderer_context={})
    return HEADER + text.decode()


def _set_up() -> None:
    settings.configure(
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "drf_spectacular", "payments"],
        PAYMENTS={"PROVIDERS": {"system": {"BACKEND": "payments.providers.system.SystemProvider"}}},
    )
    django.setup()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    _set_up()
    PAGE.write_text(openapi_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written.\n")
