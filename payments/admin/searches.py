"""Searching, as the lists of the admin do it: the staff's API finds the same."""

from __future__ import annotations

from payments.services.searches import Search

__all__ = ["Search"]
