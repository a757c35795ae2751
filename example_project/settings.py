"""Settings of the example project: for a developer's machine, not for production.

DEBUG is on unless DJANGO_DEBUG=0, so that the demo serves its static files and shows its logins. The environment may
say more: DATABASE_URL (another database than the SQLite file beside `manage.py`), SIMULATOR_URL, SIMULATOR_API_KEY and
SIMULATOR_WEBHOOK_SECRET (where the pretend payment service is), RETURN_URL_ORIGINS, DJANGO_SECRET_KEY and
DJANGO_ALLOWED_HOSTS. With DJANGO_DEBUG=0 keys and secrets have to be your own, and ALLOW_PRETEND_MONEY=1 says that
nobody is to pay really.
"""

from __future__ import annotations

import os
from pathlib import Path

from example_project.databases import parse_database_url

BASE_DIR = Path(__file__).resolve().parent.parent


def _listed(name: str, default: str) -> list[str]:
    """Return a comma-separated variable of the environment as a list."""
    return [each for each in os.environ.get(name, default).split(",") if each]


# Never on in production: it shows settings and code to whoever makes a page fail. The demo makes users with known
# passwords only while it is on.
DEBUG = os.environ.get("DJANGO_DEBUG", "1") == "1"

# Signs sessions, and derives the client secrets of payment collections: who knows it can look at and pay any of them.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only-for-the-example-project")  # refused without DEBUG

# Loopback only, so that a page elsewhere can't reach the demo through a name of its own (DNS rebinding).
ALLOWED_HOSTS = _listed("DJANGO_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "payments",
    "example_project.shop",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "example_project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "example_project.shop.context_processors.shop",
            ],
        },
    },
]

DATABASES = {
    "default": parse_database_url(os.environ.get("DATABASE_URL") or f"sqlite:///{BASE_DIR / 'db.sqlite3'}"),
}

# The demo speaks plain HTTP on a loopback address. Over HTTPS, turn these on, with SECURE_HSTS_SECONDS and
# SECURE_SSL_REDIRECT: SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
SESSION_COOKIE_NAME = (
    "saltglaze_session"  # cookies don't tell ports apart, so the usual name would log others out
)
CSRF_COOKIE_NAME = "saltglaze_csrftoken"
SESSION_COOKIE_SAMESITE = (
    "Lax"  # a payer who comes back from a bank is recognized; a foreign form's POST isn't
)
LOGIN_URL = "shop:login"
LOGIN_REDIRECT_URL = "shop:orders"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("ar", "العربية")]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"

PAYMENTS = {
    "PROVIDERS": {
        "simulator": {
            "BACKEND": "payments.providers.simulator.SimulatorProvider",
            "OPTIONS": {
                "base_url": os.environ.get("SIMULATOR_URL", "http://127.0.0.1:8001"),
                # Refused without DEBUG. A real provider's come from the environment and have no default.
                "api_key": os.environ.get("SIMULATOR_API_KEY", "sk_sim_test"),
                "webhook_secrets": _listed("SIMULATOR_WEBHOOK_SECRET", "whsec_simulator"),
                "timeout": 5.0,
            },
        },
        # Who pays by transfer only promises to: this shop trusts them, and says so.
        "system": {"BACKEND": "payments.providers.system.SystemProvider", "STOREFRONT": True},
    },
    "ALLOW_PRETEND_MONEY": os.environ.get("ALLOW_PRETEND_MONEY") == "1",
    "PAYABLE_RESOLVER": "example_project.shop.payments.resolve_payable",
    # Trying the cards that are declined is what the shop is for; a real one keeps the default, a tenth of this.
    "THROTTLES": {"DECLINES_PER_CLIENT": "100/hour"},
    # Where a payer's browser may be sent back to, besides the address that it asked; anything else is refused.
    "RETURN_URL_ORIGINS": _listed("RETURN_URL_ORIGINS", "http://127.0.0.1:8000,http://localhost:8000"),
}
