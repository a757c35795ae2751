"""The payer's API: a collection's customer, or whoever holds its secret, sees and pays that collection alone."""
