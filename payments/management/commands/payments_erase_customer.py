"""Erase a customer, or the accounts of customers whose users were deleted."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.services import Erasure, erase_abandoned_accounts, erase_customer
from payments.states import EventSource


class Command(BaseCommand):
    """The command that erases a person and names what has to wait."""

    help = (
        "Erase what is stored about a customer, here and in their accounts at providers; amounts and history stay. "
        "Fails if something has to wait: run it again later."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("username", nargs="?", help="the customer's user name")
        whose.add_argument(
            "--deleted",
            action="store_true",
            help="delete the accounts at providers of all customers whose users were deleted",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Erase and print what was erased."""
        erasure = erase_abandoned_accounts() if options["deleted"] else _erase(options["username"])
        if not erasure.is_complete:
            left = [*erasure.operations, *erasure.webhook_events, *erasure.accounts]
            raise CommandError(
                f"Not erased yet, because it is open or not deleted at the provider: {', '.join(left)}"
            )
        self.stdout.write(f"Erased. {erasure.collections} payment collections stay, with their amounts.")


def _erase(username: str) -> Erasure:
    users = get_user_model()
    try:
        user = users._default_manager.get_by_natural_key(username)
    except users.DoesNotExist as error:
        raise CommandError(f"There is no user “{username}”.") from error
    return erase_customer(user, source=EventSource.SYSTEM)
