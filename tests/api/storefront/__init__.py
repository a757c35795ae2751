"""The payer's API."""
