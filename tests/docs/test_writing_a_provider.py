"""docs/writing-a-provider.md is run as it stands: its provider, its settings, and its tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from django.test import override_settings

from payments import services
from payments.providers import get_provider
from tests.docs.giftly import API_KEY, Giftly, running_giftly

pytestmark = pytest.mark.database_independent

PAGE: Final = (Path(__file__).parents[2] / "docs/writing-a-provider.md").read_text(encoding="utf-8")
BLOCKS: Final = {
    block.split("\n", 1)[0].removeprefix("# "): block
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
}


def run_block(name: str) -> ModuleType:
    """Run a code block of the page as the module that its first line names."""
    module = ModuleType(name.removesuffix(".py"))
    # Where the page's own imports find it, and where dataclasses look themselves up.
    sys.modules[module.__name__] = module
    exec(compile(BLOCKS[name], f"docs/writing-a-provider.md: {name}", "exec"), module.__dict__)  # noqa: S102
    return module


run_block("giftly.py")
TestGiftlyProvider = run_block("test_giftly.py").TestGiftlyProvider


@pytest.fixture(scope="module", autouse=True)
def giftly() -> Iterator[Giftly]:
    """Have Giftly run, with its address in the environment, as the page reads it."""
    with running_giftly() as service, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIFTLY_URL", service.url)
        patch.setenv("GIFTLY_API_KEY", API_KEY)
        yield service


@pytest.fixture
def page_settings(giftly: Giftly) -> Iterator[None]:
    settings: dict[str, Any] = run_block("settings.py").PAYMENTS
    with override_settings(PAYMENTS=settings):
        yield


@pytest.mark.database_independent
def test_the_provider_has_less_than_a_hundred_lines_of_code() -> None:
    assert len([line for line in BLOCKS["giftly.py"].splitlines() if line.strip()]) < 100


@pytest.mark.database_independent
def test_the_page_s_settings_pass_the_provider_s_check(page_settings: None) -> None:
    provider = get_provider("giftly")
    assert (provider.options.timeout, list(provider.check())) == (5.0, [])


@pytest.mark.thorough
@pytest.mark.database_independent
def test_the_page_s_command_runs_in_an_empty_folder_without_settings(tmp_path: Path) -> None:
    for name in ("giftly.py", "test_giftly.py"):
        (tmp_path / name).write_text(BLOCKS[name], encoding="utf-8")
    root = str(Path(__file__).parents[2])
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "test_giftly.py", "-rs"],
        cwd=tmp_path, env=environment | {"PYTHONPATH": root}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, " failed" in done.stdout) == (0, False), done.stdout


@pytest.mark.django_db(transaction=True)
def test_an_order_is_paid_with_a_gift_card(page_settings: None, giftly: Giftly) -> None:
    collection = services.create_payment_collection(amount="60.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="giftly")
    empty = services.authorize_payment_session(session, data={"card": "GIFT-EMPTY"})
    assert (empty.status, empty.error_code) == ("error", "insufficient_funds")
    paid = services.authorize_payment_session(session, data={"card": "GIFT-1000"})
    assert (paid.status, set(paid.data)) == ("authorized", {"balance"})
    assert paid.payment is not None
    services.capture_payment(paid.payment, amount="45.00")
    services.refund_payment(paid.payment, amount="5.00")
    services.cancel_payment(paid.payment)
    services.sync_payment_session(paid)
    collection.refresh_from_db()
    order = giftly.orders[session.pk]
    assert (collection.captured_amount, collection.refunded_amount) == (Decimal(45), Decimal(5))
    moved = [order.moved("capture"), order.moved("refund"), order.released]
    assert moved == [Decimal(45), Decimal(5), Decimal(15)]
    assert not services.reconcile_due()
