"""Write docs/providers/README.md from what the providers declare: `python docs/generate_features.py`.

It needs Django, `payments` and the providers' extras, and neither a database nor a project's settings.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import django
from django.conf import settings

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "providers" / "README.md"
COMMAND: Final = "python docs/generate_features.py"

INTRODUCTION: Final = f"""\
# Providers

<!-- Written by `{COMMAND}` from what the providers declare. Change those, not this page. -->

What each provider that comes along can do. The services ask before they call: what isn't supported is refused with
`not_supported`, and nothing is sent. Your own is [one class](../writing-a-provider.md), and gets the same tests.
"""

CAPABILITIES: Final = {
    "supports_update": "The amount of an open session can change",
    "supports_partial_capture": "Capture a part",
    "supports_multiple_captures": "Capture several times",
    "supports_refund": "Refund",
    "supports_partial_refund": "Refund a part, several times",
    "supports_retrieve": "Can be asked how things stand",
    "supports_webhooks": "Tells by webhook",
}

BY_OPTION: Final = {
    ("paypal", "supports_multiple_captures"): "with `multicapture`",
    ("stripe", "supports_multiple_captures"): "with `multicapture`",
    ("paypal", "moves_real_money"): "with `livemode`",
    ("stripe", "moves_real_money"): "with a live key",
}
"""What an option of the provider switches on, where its class doesn't say yes."""


def features_page() -> str:
    """Return the whole page, as the providers in this process declare it."""
    providers = _provider_classes()
    head = ["", *(f"[`{name}`]({name}.md)" for name in providers)]
    rows = [
        ["Name on the button", *(str(each.verbose_name) for each in providers.values())],
        *([words, *_answers(name, providers)] for name, words in CAPABILITIES.items()),
        ["Moves real money", *_answers("moves_real_money", providers)],
        ["Keeps saved payment methods", *(_yes(_keeps_accounts(each)) for each in providers.values())],
        ["The admin links its own pages", *(_yes(_has_pages(each)) for each in providers.values())],
        ["Payers may choose it", *(_offer(each.is_for_payers) for each in providers.values())],
        ["The same key is safe for", *(_window(each.idempotency_window) for each in providers.values())],
        ["A browser may send", *(_keys(each.input_keys) for each in providers.values())],
        ["A browser may read", *(_keys(each.public_data_keys) for each in providers.values())],
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([INTRODUCTION, *(f"| {' | '.join(line)} |" for line in lines), ""])


def _provider_classes() -> dict[str, Any]:
    """Return the provider of each room of payments.providers, by the room's name, the merchant's own first."""
    package = import_module("payments.providers")
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(package.__path__):
        for value in vars(import_module(f"payments.providers.{module.name}")).values():
            if _is_provider(value, package.BaseProvider) and value.__module__.split(".")[2] == module.name:
                found[module.name] = value
    return dict(sorted(found.items(), key=lambda item: (item[0] != "system", item[0])))


def _is_provider(value: Any, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base) and value is not base


def _answers(capability: str, providers: dict[str, Any]) -> list[str]:
    return [
        BY_OPTION.get((name, capability)) or _yes(getattr(provider, capability))
        for name, provider in providers.items()
    ]


def _keeps_accounts(provider: type) -> bool:
    return issubclass(provider, import_module("payments.providers.account_holders").AccountHolderProvider)


def _has_pages(provider: Any) -> bool:
    base = import_module("payments.providers").BaseProvider
    return any(
        getattr(provider, name) is not getattr(base, name) for name in ("dashboard_url", "movement_url")
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _offer(is_for_payers: bool) -> str:
    return "yes" if is_for_payers else "with `STOREFRONT`"


def _window(window: timedelta | None) -> str:
    return "ever" if window is None else f"{window // timedelta(hours=1)} hours"


def _keys(keys: Iterable[str]) -> str:
    return ", ".join(f"`{key}`" for key in sorted(keys)) or "none"


def _set_up() -> None:
    settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "payments"])
    django.setup()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    _set_up()
    PAGE.write_text(features_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written.\n")
