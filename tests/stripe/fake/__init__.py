"""A fake of Stripe: strict, stateful, over real HTTP, written from Stripe's published facts.

It refuses parameters that the endpoints don't have, honours idempotency keys (also for stored errors), keeps books that
tests compare with, signs events, and misbehaves on request. It shares no code with the provider.

Sources, read in November 2026: the parameter lists of https://docs.stripe.com/api (as in the types of Stripe's own
library, with which `test_fake_parameters.py` compares), https://docs.stripe.com/api/idempotent_requests,
https://docs.stripe.com/api/errors, https://docs.stripe.com/testing (test payment methods),
https://docs.stripe.com/payments/multicapture, https://docs.stripe.com/currencies, and the texts of errors as others
have recorded them. What Stripe really does only its own test mode can tell: see docs/providers/stripe.md.
"""

from __future__ import annotations

from tests.fakes import Fault
from tests.stripe.fake.service import FakeStripe

__all__ = ["FakeStripe", "Fault"]
