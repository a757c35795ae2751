"""Settings of the test suite.

`tests/conftest.py` replaces the database according to `--database` before the first connection is opened.
"""

from __future__ import annotations

from typing import Any

from example_project.databases import SQLITE_OPTIONS

SECRET_KEY = "only-for-the-tests"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES: dict[str, dict[str, Any]] = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "tests.sqlite3", "OPTIONS": SQLITE_OPTIONS},
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "payments",
    "tests.shop",
    "tests.money.ledgerapp",
    "tests.projects.stall",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# The default hasher takes its time on purpose; tests log in by the hundred.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

PAYMENTS: dict[str, Any] = {
    "PROVIDERS": {
        "system": {"BACKEND": "payments.providers.system.SystemProvider", "STOREFRONT": True},
        "simulator": {
            "BACKEND": "payments.providers.simulator.SimulatorProvider",
            "OPTIONS": {"api_key": "sk_sim_of_the_tests"},
        },
    },
    "PAYABLE_RESOLVER": "tests.shop.payables.resolve_payable",
    "ALLOW_PRETEND_MONEY": True,
    "THROTTLES": {  # a test makes more requests than a person does, and has more declined
        "REQUESTS_PER_CLIENT": None,
        "DECLINES_PER_CLIENT": None,
        "METHOD_SETUPS_PER_CLIENT": None,
    },
}
