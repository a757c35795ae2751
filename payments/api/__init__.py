"""The HTTP API: parses, authorises and renders, and has no rule about money.

`storefront` is for payers, `staff` for operators; they know nothing of each other. What both need stands beside them.
Nothing here depends on a project's global DRF settings or changes them.
"""
