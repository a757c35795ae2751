"""Adapters for what a shop may or may not have installed; nothing else of the house imports them."""
