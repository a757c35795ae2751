"""Proof that nothing is lost and nothing doubled, whatever dies, hangs, lies, races or comes twice."""
