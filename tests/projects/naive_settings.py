"""Settings of a project that keeps the time as its clock on the wall shows it."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

USE_TZ = False
TIME_ZONE = "Europe/Berlin"
