"""A fake of PayPal: strict, stateful, over real HTTP, written from PayPal's published facts.

It refuses parameters that the endpoints don't have (PayPal itself overlooks some), honours `PayPal-Request-Id`, keeps
books that tests compare with, lets payers approve, signs events, and misbehaves on request. It shares no code with the
provider.

Sources, read in November 2026: PayPal's OpenAPI documents (github.com/paypal/paypal-rest-api-specifications:
`checkout_orders_v2`, `payments_payment_v2`, `customer_disputes_v1`, `notifications_webhooks_v1`), the pages on
idempotency, authorization and honor periods, currency codes and webhooks of https://developer.paypal.com, and what
others have recorded of its sandbox. What PayPal really does only its own sandbox can tell: see
docs/providers/paypal.md.
"""

from __future__ import annotations

from tests.fakes import Fault
from tests.paypal.fake.orders import Funding
from tests.paypal.fake.service import FakePayPal

__all__ = ["FakePayPal", "Fault", "Funding"]
