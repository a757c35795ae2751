"""What the tests of all providers share: a payment service, whichever it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments.models import Payment
from tests.providers.peers import PEERS, Peer
from tests.reliability.verbs import authorized, payment_of


@pytest.fixture(params=PEERS, ids=lambda kind: kind.__name__)
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """Return a payment service to which the shop's provider talks."""
    peer: Peer = request.param()
    with peer.configured():
        yield peer


@pytest.fixture
def held(transactional_db: None, peer: Peer) -> Payment:
    """Return a payment of 100.00 euros at the payment service, of which nothing is captured."""
    return payment_of(authorized(peer.payer))
