"""A ledger: rows of amounts to try `AmountField` on."""
