"""One running shop for all tests of this folder, which therefore ask to run in one worker (`xdist_group`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from example_project.walkthrough.servers import temporary_shop


@pytest.fixture(scope="session")
def shop_url() -> Iterator[str]:
    """Return the address of a shop with a simulator, without orders."""
    with temporary_shop() as url:
        yield url
