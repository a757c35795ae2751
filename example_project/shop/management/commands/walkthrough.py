"""`manage.py walkthrough`: play the main job over HTTP, and check every answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from example_project.demo.servers import simulator_options
from example_project.walkthrough.expectations import UnexpectedAnswerError
from example_project.walkthrough.script import Walkthrough
from example_project.walkthrough.servers import ShopNotStartedError, answers, temporary_shop
from example_project.walkthrough.transcripts import Transcript


class Command(BaseCommand):
    """Play, and end with an error at the first answer that differs."""

    help = (
        "Play the main job as a client over HTTP, from checkout to refund, and check every answer: against the demo "
        "at --url, or against a shop that is started for it on a temporary database."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        add = parser.add_argument
        add(
            "--url",
            help="where the demo runs, such as http://127.0.0.1:8000 (default: start a shop for this)",
        )
        add("--username", default="admin", help="of a superuser (default: %(default)s)")
        add("--password", default="admin", help="theirs (default: %(default)s)")
        add("--transcript", metavar="FILE", type=Path, help="write the transcript into a file too")

    def handle(self, *args: Any, **options: Any) -> None:
        """Play it."""
        lines: list[str] = []

        def write(line: str) -> None:
            lines.append(line)
            self.stdout.write(line)

        try:
            with self._shop(options["url"]) as base_url:
                Walkthrough(
                    base_url,
                    Transcript(write),
                    username=options["username"],
                    password=options["password"],
                    simulator_key=simulator_options()["api_key"],
                ).run()
        except (UnexpectedAnswerError, ShopNotStartedError, OSError) as error:
            raise CommandError(str(error)) from error
        finally:
            if options["transcript"]:
                options["transcript"].write_text("\n".join(lines).strip() + "\n", encoding="utf-8")

    @contextmanager
    def _shop(self, url: str | None) -> Iterator[str]:
        with ExitStack() as stack:
            if url is not None and answers(url.rstrip("/")):
                yield url.rstrip("/")
                return
            if url is not None:
                self.stderr.write(f"No shop answers at {url}.")
            self.stderr.write("Starting a shop for this, in a temporary folder; it takes about 10 seconds.")
            yield stack.enter_context(temporary_shop())
