"""The part of the contract for providers to which it makes a difference how often a payment can be captured."""

from __future__ import annotations

from payments.testing.contract.facts import RetrieveContract
from payments.testing.contract.movements import CancelContract, CaptureContract, RefundContract
from payments.testing.contract.sessions import CapabilityContract
from payments.testing.contract.wire import WireContract


class MulticaptureContract(
    CaptureContract, RefundContract, CancelContract, RetrieveContract, CapabilityContract, WireContract
):
    """What several captures for one payment make a difference to."""
