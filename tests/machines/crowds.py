"""Many who buy at once, and what must hold of a shop when all is done."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

from payments.models import PaymentCollection, PaymentEvent, PaymentOperation, WebhookEvent
from payments.simulator import SimulatorService
from payments.states import WebhookEventStatus
from tests.machines.hosts import Shop
from tests.machines.shoppers import Purchase, Shopper
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import assert_books_agree, assert_invariants, assert_references_moved_once
from tests.reliability.clocks import moving_clock

SHOPPERS: Final = 6
EACH: Final = 5


def purchases(shop: Shop, operator: str, *, patience: float = 0.0) -> list[Purchase]:
    """Have shoppers buy at the same time, one order after the other, and return how far each came."""

    def buy(number: int) -> Iterator[Purchase]:
        with closing(Shopper(port=shop.port, operator=operator, patience=patience)) as shopper:
            for order in range(EACH):
                yield shopper.buy(str(EACH * number + order))

    with ThreadPoolExecutor(SHOPPERS) as pool:
        return [
            purchase
            for made in pool.map(lambda number: list(buy(number)), range(SHOPPERS))
            for purchase in made
        ]


def assert_all_is_done(bank: SimulatorService) -> None:
    """Let the workers' work be done here, as time passes, and compare all books with the simulator's."""
    with moving_clock(bank) as clock:
        let_time_pass(clock)
    assert not PaymentOperation.objects.open().exists()
    assert not PaymentEvent.objects.unpublished().exists()
    assert not WebhookEvent.objects.exclude(status=WebhookEventStatus.APPLIED).exists()
    for collection in PaymentCollection.objects.all():
        assert_invariants(collection)
        assert_books_agree(bank, collection)
        for session in collection.sessions.all():
            assert_references_moved_once(bank, session)
