"""docs/staff-api.md: what a reader is told to send is sent, and each permission opens what the page says."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from example_project.walkthrough.servers import HOST, temporary_shop
from payments.api.staff.urls import urlpatterns
from tests.docs.codes import ROOT
from tests.docs.following import follow_in_curl

PAGE: Final = ROOT / "docs" / "staff-api.md"

pytestmark = pytest.mark.database_independent


@pytest.mark.thorough
def test_every_curl_command_is_answered_as_shown(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    with temporary_shop(simulator_port=port) as site:
        follow_in_curl(PAGE, site, tmp_path, simulator=f"http://{HOST}:{port}")


def test_each_permission_opens_what_the_page_says() -> None:
    described = {
        (request, permission)
        for permission, cell in re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
        for request in re.findall(r"`([^`]+)`", cell)
    }

    assert described == set(permitted())


def permitted() -> Iterator[tuple[str, str]]:
    """Yield every request that the operator's API answers, with the permission that it needs."""
    for pattern in urlpatterns:
        view: Any = pattern.callback
        address = re.sub(r"<str:\w+>", "{id}", str(pattern.pattern))
        for method, permission in view.cls.permissions.items():
            yield f"{method} {address}", permission
