"""Saltglaze, a small pottery shop whose orders are paid through `payments`."""
