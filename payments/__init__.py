"""Payment collections, sessions, payments, captures and refunds for any Django project.

Nothing is imported here: Django loads the app's modules itself, and a project imports from
`payments.services`, `payments.models` and `payments.testing`.
"""

from __future__ import annotations

__version__ = "0.1.0"
