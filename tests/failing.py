"""A module that can't be imported, as a shop's may be."""

from __future__ import annotations

raise RuntimeError("not today")
