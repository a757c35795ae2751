"""What scripted providers answer in the tests of the services and of the ledger, and the scripts themselves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from payments.providers import AuthorizeResult, Failure, NextAction, RetrieveResult, SessionFact
from payments.states import Outcome
from payments.testing import Script

CHALLENGE: Final = NextAction(type="redirect", url="https://bank.example/3ds")

SCRIPTS: Final[dict[str, Script]] = {}
"""The script of each scripted provider, by its alias, in the test that runs."""


def scripted_providers(*aliases: str) -> dict[str, Any]:
    """Return the setting of the shop itself and of providers with these aliases, each with a new script."""
    SCRIPTS.clear()
    SCRIPTS.update((alias, Script()) for alias in aliases)
    entries = {
        alias: {"BACKEND": "payments.testing.scripted.ScriptedProvider", "OPTIONS": {"script": script}}
        for alias, script in SCRIPTS.items()
    }
    entries["system"] = {"BACKEND": "payments.providers.system.SystemProvider"}
    return {"PROVIDERS": entries, "ALLOW_PRETEND_MONEY": True}


def authorized(
    amount: str, *, currency_code: str = "eur", captured: str = "0", **more: Any
) -> AuthorizeResult:
    """Return the answer that this much is held."""
    return AuthorizeResult(
        outcome=Outcome.SUCCEEDED,
        amount=Decimal(amount),
        currency_code=currency_code,
        captured_amount=Decimal(captured),
        **more,
    )


def requires_more() -> AuthorizeResult:
    """Return the answer that the payer has to do something first."""
    return AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=CHALLENGE)


def declined(result_class: type[Any], code: str = "card_declined") -> Any:
    """Return a definite refusal with words for the payer and words for the operator."""
    failure = Failure(code=code, message="The bank said no.", detail="issuer 05")
    return result_class(outcome=Outcome.DECLINED, failure=failure)


def found(fact: SessionFact) -> RetrieveResult:
    """Return the answer to a retrieval: this is what is known of the session."""
    return RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact)
