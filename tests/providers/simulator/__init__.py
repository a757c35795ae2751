"""The simulator's provider against the real service, over HTTP, with the service's ledger as the judge."""
