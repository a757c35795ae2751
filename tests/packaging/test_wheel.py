"""What a shop gets: the wheel is built from the sdist, listed, installed elsewhere and used there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import payments
from tests.packaging.repository import GENERATED, ROOT
from tests.programs import SECONDS

# One worker builds once for all of them.
pytestmark = [
    pytest.mark.database_independent,
    pytest.mark.thorough,
    pytest.mark.xdist_group("wheel"),
]

DIST_INFO = f"django_payment_sessions-{payments.__version__}.dist-info"
# One file of each kind that packaging tools like to forget, in a place of its own.
PROBES = {
    "payments/templates/payments/probe.html": b"{% load i18n %}",
    "payments/static/payments/probe.css": b"p { color: canvastext; }",
    "payments/locale/eo/LC_MESSAGES/django.po": b'msgid ""\nmsgstr ""\n',
    "payments/locale/eo/LC_MESSAGES/django.mo": b"\xde\x12\x04\x95" + bytes(24),
}
USE_INSTALLED = """
import sys
import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    SECRET_KEY="only-for-this-test",
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "payments"],
    PAYMENTS={"PROVIDERS": {"system": {"BACKEND": "payments.providers.system.SystemProvider"}}},
)
django.setup()
call_command("migrate", verbosity=0)
call_command("makemigrations", "payments", check_changes=True, dry_run=True, verbosity=0)
import payments
print(payments.__file__)
"""
CONSUMER = Path(__file__).with_name("consumer.py")
CONSUMER_SETTINGS = """
SECRET_KEY = "only-for-this-test"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "payments"]
"""
CONSUMER_MYPY = """
[mypy]
strict = True
plugins = mypy_django_plugin.main

[mypy.plugins.django-stubs]
django_settings_module = consumer_settings
"""


@dataclass(frozen=True, kw_only=True)
class Distributions:
    """What was built, and the copy of the repository that it was built from."""

    source: Path
    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Build sdist and wheel from a copy of the repository with the probes in it and `*.mo` git-ignored."""
    source, target = tmp_path_factory.mktemp("build") / "source", tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*GENERATED))
    for name, content in PROBES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    with (source / ".gitignore").open("a") as gitignore:
        gitignore.write("*.mo\n")
    _run("-m", "build", "--no-isolation", "--outdir", str(target), str(source), cwd=target)
    return Distributions(source=source, sdist=next(target.glob("*.tar.gz")), wheel=next(target.glob("*.whl")))


@pytest.fixture(scope="module")
def installed(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, without its dependencies, in a folder of its own."""
    target = tmp_path_factory.mktemp("installed")
    _run(
        "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(built.wheel), cwd=target
    )
    return target


def test_wheel_holds_every_file_of_the_package_and_nothing_else(built: Distributions) -> None:
    package = built.source / "payments"
    expected = {str(path.relative_to(built.source)) for path in package.rglob("*") if path.is_file()}
    names = _wheel_names(built.wheel)
    assert expected >= PROBES.keys() | {"payments/__init__.py", "payments/py.typed"}
    assert {name for name in names if not name.startswith(DIST_INFO)} == expected


def test_wheel_holds_neither_tests_nor_the_example_project(built: Distributions) -> None:
    assert {name.split("/")[0] for name in _wheel_names(built.wheel)} == {"payments", DIST_INFO}


def test_wheel_brings_the_licence(built: Distributions) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        assert wheel.read(f"{DIST_INFO}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert _metadata(built.wheel)["License-Expression"] == "Apache-2.0"


def test_metadata_states_what_is_supported(built: Distributions) -> None:
    metadata = _metadata(built.wheel)
    assert metadata["Name"] == "django-payment-sessions"
    assert metadata["Version"] == payments.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) == {
        "celery",
        "dev",
        "mariadb",
        "openapi",
        "paypal",
        "stripe",
        "test",
        "testing",
    }
    required = {line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert {"django<7,>=5.2.13", "django-fsm-2<5,>=4.2.4"} <= required


def test_sdist_brings_what_its_tests_need(built: Distributions) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "manage.py", ".ci/run", "tests/conftest.py"} <= names
    assert PROBES.keys() <= names


def test_installed_wheel_migrates_a_database_away_from_the_repository(
    installed: Path, tmp_path: Path
) -> None:
    # -P keeps the current folder, and so the repository, off the path; the target comes before site-packages.
    done = _run("-P", "-c", USE_INSTALLED, cwd=tmp_path, env={"PYTHONPATH": str(installed)})
    assert done.stdout.strip() == str(installed / "payments" / "__init__.py")


def test_what_a_shop_writes_is_checked_against_the_types_of_the_installed_wheel(
    installed: Path, tmp_path: Path
) -> None:
    shutil.copy(CONSUMER, tmp_path)
    (tmp_path / "consumer_settings.py").write_text(CONSUMER_SETTINGS)
    (tmp_path / "mypy.ini").write_text(CONSUMER_MYPY)
    done = _run(
        "-m", "mypy", "-v", "consumer.py", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)}
    )
    assert "Success: no issues found" in done.stdout
    assert str(installed / "payments" / "models" / "payments.py") in done.stderr


def _run(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{arguments} failed:\n{done.stdout}{done.stderr}"
    return done


def _wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"{DIST_INFO}/METADATA").decode())
