"""The settings of the tests, with what MACHINE_SETTINGS has in their place."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403

globals().update(json.loads(os.environ["MACHINE_SETTINGS"]))
