"""The overview: what moved per day and provider, what was refused, and what waits for somebody.

Every query is bounded by the period and uses an index; nothing counts a whole table.
"""
