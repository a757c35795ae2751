"""Projects of every kind: other settings, other addresses, other users, and other models that are paid for."""
