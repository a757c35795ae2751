"""One running shop for all tests of this folder, which therefore ask to run in one worker (`xdist_group`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from example_project.walkthrough.servers import temporary_shop


@pytest.fixture(scope="package")
def shop_url() -> Iterator[str]:
    """Return the address of a shop with a simulator, without orders.

    It ends with the last test of this folder: its background work would go on beside all the others.
    """
    with temporary_shop() as url:
        yield url
