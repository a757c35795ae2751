"""Telling all stories: each once, in order, with the simulator silent about them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from example_project.demo.stories import STORIES, Story
from example_project.demo.teller import Teller
from example_project.shop.models import Order
from payments.models import PaymentCollection
from payments.simulator import SimulatorService

_MARK: Final = "demo_story"


@dataclass(frozen=True, kw_only=True)
class Telling:
    """Say which stories were told now, were told before, and were left half told by an interruption."""

    told: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def tell_stories(simulator: SimulatorService) -> Telling:
    """Tell every story that this database doesn't have."""
    telling = Telling()
    with _silent(simulator):
        for story in STORIES:
            _tell(story, simulator, telling)
    return telling


def announce_some(simulator: SimulatorService, telling: Telling, *, count: int = 8) -> None:
    """Have the simulator deliver a few events of the stories just told, so that the inbox shows what it is for."""
    rows = PaymentCollection.objects.filter(metadata__demo_story__in=telling.told)
    references = set(rows.values_list("sessions__id", flat=True))
    events = [event for event in simulator.events() if event.reference in references]
    for event in events[:count]:
        simulator.redeliver(event.id)


def _tell(story: Story, simulator: SimulatorService, telling: Telling) -> None:
    order = Order.objects.filter(number=story.number).first()
    if order is not None:
        (telling.known if _is_whole(order) else telling.broken).append(story.number)
        return
    teller = Teller(story.number, simulator)
    try:
        story.tell(teller)
    finally:
        teller.end()
    if teller.collection is not None:
        metadata = teller.collection.metadata | {_MARK: story.number}
        PaymentCollection.objects.filter(pk=teller.collection.pk).update(metadata=metadata)
    telling.told.append(story.number)


def _is_whole(order: Order) -> bool:
    """Return whether an order's story was told to its end; one without a collection can't have broken off."""
    collection = PaymentCollection.objects.for_payable(order).first()
    return collection is None or collection.metadata.get(_MARK) == order.number


@contextmanager
def _silent(simulator: SimulatorService) -> Iterator[None]:
    """Drop the events of what is told: nobody is there yet to receive them, and most of it was weeks ago."""
    simulator.deliver(drop=True)
    logger = logging.getLogger("payments")
    level = logger.level
    # Declines, broken lines and contradictions are what some stories are about, so they are no news.
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        simulator.deliver()
