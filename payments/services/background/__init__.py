"""The background work: what is due is looked after by workers that may run side by side."""
