"""Where the repository is and what is in it, for the tests of the packaging."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("__pycache__", "*.pyc", "*_cache", "*.sqlite3*", ".git", ".venv", "dist", "build", ".hypothesis")


def tracked_files() -> list[Path]:
    """Return the files under version control, relative to the root; in an unpacked sdist, all there are."""
    if (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],  # noqa: S607 - any git will do
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        paths = [Path(name) for name in listing.split("\0") if name]
        return [path for path in paths if (ROOT / path).is_file()]
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [path for path in found if not any(is_generated(Path(part)) for part in path.parts)]


def is_generated(path: Path) -> bool:
    """Tell whether this is a name that only tools write, such as `__pycache__`."""
    return any(path.match(pattern) for pattern in GENERATED)


def readme_command(name: str) -> str:
    """Return the shell command in README's fenced block under the comment `<!-- command: name -->`."""
    pattern = rf"^<!-- command: {re.escape(name)} -->\n```sh\n(?P<command>.+?)\n```$"
    found = re.findall(pattern, (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"README.md has {len(found)} blocks for the command {name!r}, not one"
    return str(found[0])
