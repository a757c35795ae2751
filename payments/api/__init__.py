"""The HTTP API: parses, authorises and renders, and has no rule about money.

`storefront` is for payers, `staff` for operators, and nothing here depends on a project's global DRF settings.
"""
