"""Links to PayPal's own pages: of what has one, in the right mode, and of nothing else."""

from __future__ import annotations

import pytest

from payments.providers.paypal import PayPalOptions, PayPalProvider
from payments.states import MovementKind

pytestmark = pytest.mark.database_independent


def provider(**changes: object) -> PayPalProvider:
    """Return a provider that would talk to PayPal itself."""
    values: dict[str, object] = {"client_id": "id", "client_secret": "secret", **changes}
    return PayPalProvider(alias="paypal", options=PayPalOptions(**values))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", list(MovementKind))
@pytest.mark.parametrize(
    ("livemode", "site"), [(True, "https://www.paypal.com"), (False, "https://www.sandbox.paypal.com")]
)
def test_a_capture_and_a_refund_have_a_page(kind: MovementKind, livemode: bool, site: str) -> None:
    url = provider(livemode=livemode).movement_url(kind, "3C679366HH908993F")
    assert url == f"{site}/cgi-bin/webscr?cmd=_view-a-trans&id=3C679366HH908993F"


@pytest.mark.parametrize(
    "reference",
    ["1JU08902781691411+0K35355239430361V", "seen in the dashboard", "", "3C6&cmd=_logout", "../x"],
)
def test_what_is_no_transaction_s_id_has_none(reference: str) -> None:
    assert provider().movement_url(MovementKind.REFUND, reference) == ""


def test_an_order_has_none() -> None:
    assert provider().dashboard_url("5O190127TN364715T") == ""


def test_what_a_stand_in_for_paypal_knows_has_none() -> None:
    elsewhere = provider(livemode=False, base_url="http://127.0.0.1:9")
    assert elsewhere.movement_url(MovementKind.CAPTURE, "3C679366HH908993F") == ""
