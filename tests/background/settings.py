"""Settings of a worker process that a test starts: the test's own database and providers, given in the environment."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403 - a settings module is names

_given = json.loads(os.environ["PAYMENTS_TEST_WORKER"])

# Only what the workers need, so that the process is quickly up.
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "payments", "tests.shop"]
MIDDLEWARE = []
ROOT_URLCONF = __name__
urlpatterns: list[object] = []
SILENCED_SYSTEM_CHECKS = ["payments.W016"]

DATABASES = {"default": _given["database"]}
PAYMENTS = PAYMENTS | {"PROVIDERS": PAYMENTS["PROVIDERS"] | _given["providers"]}  # noqa: F405
LOGGING = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"payments": {"handlers": ["console"], "level": "WARNING"}},
}
