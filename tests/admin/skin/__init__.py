"""A project of its own whose admin wears django-unfold, as docs/admin.md says, and what is seen of it in a browser."""
