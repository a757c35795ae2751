"""Proof that the tests bite: `python -m tests.reliability.mutations [NAME ...]`.

Each guard against loss and doubling is taken away from a copy of the tree, and the test that is named with it must fail
there; without the change it must pass. The tree itself is never touched. It takes minutes, so it isn't part of CI.
`--database sqlite` leaves out what only PostgreSQL can show.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CODE: Final = ("payments", "tests", "example_project", "pyproject.toml", "manage.py", "README.md")
SERVICES: Final = "payments/services"
LEDGER: Final = f"{SERVICES}/ledger"
BACKGROUND: Final = f"{SERVICES}/background"
HERE: Final = "tests/reliability"
RACES: Final = "tests/races"
PAYPAL: Final = "tests/paypal"
PRETEND: Final = "tests/providers/test_pretend_money.py"
TESTS_FAILED: Final = 1


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Replace one piece of a file, which must be there exactly once."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """Take one guard away, and name the test that has to notice."""

    name: str
    test: str
    edits: tuple[Edit, ...]
    database: str = "sqlite"


MUTATIONS: Final = (
    Mutation(
        name="collection-lock",
        test=f"{HERE}/test_guards.py::test_second_claim_waits_for_the_first",
        edits=(
            Edit(
                path=f"{LEDGER}/locks.py",
                old="rows.filter(pk=collection).select_for_update(),",
                new="rows.filter(pk=collection),",
            ),
        ),
        database="postgresql",
    ),
    Mutation(
        name="commit-before-call",
        test=f"{HERE}/test_crashes.py::test_what_the_provider_did_is_recorded_once[capture-called]",
        edits=(
            Edit(
                path=f"{LEDGER}/protocol.py",
                old="def perform(",
                new="@__import__('django.db.transaction').db.transaction.atomic\ndef perform(",
            ),
            Edit(path=f"{LEDGER}/locks.py", old="durable=True", new="durable=False"),
            Edit(
                path="payments/providers/calls.py",
                old="    for connection in connections.all(initialized_only=True):",
                new="    for connection in ():",
            ),
        ),
    ),
    Mutation(
        name="compare-and-swap",
        test=f"{HERE}/test_reconciler.py::test_operation_that_has_ended_is_not_ended_differently",
        edits=(
            Edit(
                path=f"{LEDGER}/books.py",
                old="self._changes(self.collection), version=before)",
                new="self._changes(self.collection))",
            ),
        ),
    ),
    Mutation(
        name="guard-of-managers",
        test="tests/models/test_guard.py::test_related_managers_refuse_to_write_a_status",
        edits=(
            Edit(
                path="payments/models/base.py",
                old="        check_writable(self.model, values)\n",
                new="",
            ),
        ),
    ),
    Mutation(
        name="erasure-waits",
        test="tests/services/test_erasure.py::test_what_may_be_sent_again_waits",
        edits=(
            Edit(
                path="payments/services/erasure.py",
                old=" if row.pk not in busy]",
                new="]",
            ),
        ),
    ),
    Mutation(
        name="version-of-a-row",
        test="tests/services/test_statements.py::test_row_that_has_another_version_is_not_written[plain]",
        edits=(
            Edit(
                path=f"{LEDGER}/statements.py",
                old="    if is_stamped or not compiles_statements():\n        values = {name: getattr",
                new="    guard = {}\n    if is_stamped or not compiles_statements():\n        values = {name: getattr",
            ),
        ),
    ),
    Mutation(
        name="recorded-once",
        test=f"{HERE}/test_reconciler.py::test_answer_of_an_overtaken_update_changes_nothing",
        edits=(
            Edit(
                path=f"{LEDGER}/records.py",
                old="    if not _is_news(operation, result):\n        return operation\n",
                new="",
            ),
        ),
    ),
    Mutation(
        name="inbox-unique",
        test=f"{HERE}/test_guards.py::test_event_delivered_twice_is_stored_once",
        edits=(
            Edit(
                path="payments/models/webhooks.py",
                old='fields=["event_id", "provider"], name="payments_webhook_event_unique"',
                new='fields=["event_id", "provider", "id"], name="payments_webhook_event_unique"',
            ),
            Edit(
                path="payments/migrations/0001_initial.py",
                old="fields=('event_id', 'provider'), name='payments_webhook_event_unique'",
                new="fields=('event_id', 'provider', 'id'), name='payments_webhook_event_unique'",
            ),
        ),
    ),
    Mutation(
        name="key-reuse",
        test=f"{HERE}/test_crashes.py::test_what_never_reached_the_provider_is_sent_again[capture-called]",
        edits=(
            Edit(
                path=f"{LEDGER}/calls.py",
                old='"idempotency_key": operation.pk,',
                new='"idempotency_key": f"{operation.pk}-{operation.attempts}",',
            ),
        ),
    ),
    Mutation(
        name="unknown-is-not-failed",
        test=f"{HERE}/test_reconciler.py::test_unknown_outcome_is_found_out",
        edits=(
            Edit(
                path=f"{LEDGER}/records.py",
                old="Outcome.UNKNOWN: _record_unknown,",
                new="Outcome.UNKNOWN: _record_decline,",
            ),
        ),
    ),
    Mutation(
        name="key-window",
        test=f"{HERE}/test_reconciler.py::test_key_is_not_used_beyond_its_window",
        edits=(
            Edit(
                path=f"{LEDGER}/calls.py",
                old="return window is None or _age_of",
                new="return True or _age_of",
            ),
        ),
    ),
    Mutation(
        name="reservation",
        test=f"{HERE}/test_reconciler.py::test_looks_grow_apart_until_a_person_has_to",
        edits=(
            Edit(
                path=f"{LEDGER}/totals.py",
                old="    left = total - pending\n",
                new="    left = total\n",
            ),
        ),
    ),
    Mutation(
        name="lease",
        test="tests/webhooks/test_inbox.py::test_what_a_dead_worker_had_in_hand_is_taken_over",
        edits=(
            Edit(
                path=f"{LEDGER}/locks.py",
                old="free = rows.using(database_alias()).filter(is_free())",
                new="free = rows.using(database_alias())",
            ),
        ),
    ),
    Mutation(
        name="lease-of-a-reconciler",
        test=f"{HERE}/test_lost_leases.py::test_reconciler_that_lost_its_lease_reschedules_nothing[another]",
        edits=(
            Edit(
                path=f"{BACKGROUND}/reconciler.py",
                old="if current.is_open and current.lease_owner != self.owner and self.owner:",
                new="if False:",
            ),
        ),
    ),
    Mutation(
        name="lease-of-an-inbox-worker",
        test=f"{HERE}/test_lost_events.py::test_inbox_worker_that_lost_its_lease_defers_nothing[another]",
        edits=(
            Edit(
                path=f"{BACKGROUND}/inbox.py",
                old='    if owner is not None:\n        guard["lease_owner"] = owner\n',
                new="",
            ),
            Edit(path=f"{BACKGROUND}/inbox.py", old="if event.lease_owner == owner:", new="if True:"),
        ),
    ),
    Mutation(
        name="lease-of-a-publisher",
        test="tests/outbox/test_publishing.py::test_a_publisher_that_lost_its_lease_stops",
        edits=(
            Edit(
                path=f"{LEDGER}/outbox.py",
                old="    return renewed == len(events)",
                new="    return True",
            ),
        ),
    ),
    Mutation(
        name="turn-of-a-publisher",
        test=f"{HERE}/test_lost_events.py"
        "::test_publisher_that_lost_its_lease_does_not_have_an_event_sent_again",
        edits=(
            Edit(
                path=f"{LEDGER}/outbox.py",
                old="pk=event.pk, next_attempt_at=event.next_attempt_at, lease_expires_at=event.lease_expires_at\n",
                new="pk=event.pk\n",
            ),
        ),
    ),
    Mutation(
        name="read-where-written",
        test=f"{RACES}/test_replicas.py::test_reconciler",
        edits=(
            Edit(
                path="payments/models/base.py",
                old="return self._db or router.db_for_write(self.model, **self._hints)",
                new="return self._db or router.db_for_read(self.model, **self._hints)",
            ),
        ),
    ),
    Mutation(
        name="read-again-where-written",
        test=f"{RACES}/test_replicas.py::test_sweep",
        edits=(
            Edit(
                path="payments/models/base.py",
                old="pinned = using or router.db_for_write(type(self), instance=self)",
                new="pinned = using or router.db_for_read(type(self), instance=self)",
            ),
        ),
    ),
    Mutation(
        name="repeat-after-a-conflict",
        test=f"{RACES}/test_repeats.py::test_claim_that_was_given_up_is_repeated[deadlock-capture]",
        edits=(
            Edit(
                path=f"{LEDGER}/locks.py",
                old="if code in _CONFLICTS and time.monotonic() - started < PATIENCE:",
                new="if False:",
            ),
        ),
        database="postgresql",
    ),
    Mutation(
        name="repeat-after-a-wait",
        test=f"{RACES}/test_repeats.py::test_claim_that_was_given_up_is_repeated[deadlock-capture]",
        edits=(
            Edit(
                path=f"{LEDGER}/locks.py",
                old="if code in _LOCK_TIMEOUTS and waits < _WAITS:",
                new="if False:",
            ),
        ),
    ),
    Mutation(
        name="read-committed",
        test=f"{RACES}/test_isolation.py"
        "::test_requests_for_one_order_at_once_get_its_one_collection[repeatable_read]",
        edits=(
            Edit(
                path=f"{LEDGER}/locks.py",
                old='if connection.vendor != "postgresql" or connection.in_atomic_block:',
                new="if True:",
            ),
        ),
        database="postgresql",
    ),
    Mutation(
        name="look-before-a-late-call",
        test=f"{HERE}/test_stopped_callers.py"
        "::test_capture_that_was_refused_meanwhile_is_not_sent_by_who_wakes_up",
        edits=(
            Edit(
                path=f"{LEDGER}/protocol.py",
                old="is_prompt = not performance.steps and timedelta(0) <= age < LATE",
                new="is_prompt = True",
            ),
        ),
    ),
    Mutation(
        name="look-before-an-abandonment",
        test=f"{RACES}/test_abandonment.py"
        "::test_session_that_is_paid_before_the_bank_is_asked_is_not_released",
        edits=(
            Edit(
                path=f"{LEDGER}/protocol.py",
                old="if is_prompt and not is_abandonment(operation):",
                new="if is_prompt:",
            ),
        ),
    ),
    Mutation(
        name="key-of-a-request",
        test=f"{RACES}/test_fences.py::test_request_whose_key_was_taken_over_captures_nothing",
        edits=(Edit(path=f"{LEDGER}/protocol.py", old="        request.hold()", new="        pass"),),
    ),
    Mutation(
        name="not-sent-frees-its-amount",
        test="tests/services/test_captures.py::test_capture_that_was_not_sent_frees_its_amount",
        edits=(
            Edit(
                path=f"{LEDGER}/records.py",
                old="Outcome.NOT_SENT: _record_not_sent,",
                new="Outcome.NOT_SENT: _record_unknown,",
            ),
        ),
    ),
    Mutation(
        name="not-sent-this-time",
        test="tests/services/test_late_answers.py::test_attempt_that_was_not_sent_says_nothing_of_an_earlier_one",
        edits=(
            Edit(
                path=f"{LEDGER}/records.py",
                old="    if operation.status != OperationStatus.PROCESSING:\n"
                "        return  # An earlier attempt may have been sent, though this one wasn't.\n",
                new="",
            ),
        ),
    ),
    Mutation(
        name="one-open-operation",
        test=f"{HERE}/test_guards.py::test_database_allows_one_open_operation_of_a_kind",
        edits=(
            Edit(
                path="payments/models/operations.py",
                old='return f"{kind}:{target_id}"',
                new='return f"{kind}:{target_id}:{ids.new_operation_id()}"',
            ),
        ),
    ),
    Mutation(
        name="approval-by-a-worker",
        test="tests/webhooks/test_approvals.py::test_one_that_carries_its_fact_is_left_to_the_worker_too",
        edits=(
            Edit(
                path=f"{BACKGROUND}/inbox.py",
                old="(is_asked or event.other_captures or _awaits_authorization(fact))",
                new="(is_asked or event.other_captures)",
            ),
        ),
    ),
    Mutation(
        name="paypal-overage",
        test=f"{PAYPAL}/test_movements.py::test_more_than_is_held_is_not_taken_though_paypal_would_allow_it",
        edits=(
            Edit(
                path="payments/providers/paypal/provider.py",
                old="if order.reserved + amount > order.authorization.amount:",
                new="if False:",
            ),
        ),
    ),
    Mutation(
        name="paypal-abandoned-order",
        test=f"{PAYPAL}/test_outcomes.py"
        "::test_an_abandoned_order_cannot_be_authorized_even_if_its_payer_approves_it",
        edits=(
            Edit(
                path="payments/providers/paypal/references.py",
                old='return str(custom_id or "").endswith(f"/{CANCELED}")',
                new="return False",
            ),
        ),
    ),
    Mutation(
        name="paypal-half-a-refund",
        test=f"{PAYPAL}/test_reliability.py"
        "::TestRefundOfSeveralCaptures::test_one_that_breaks_off_is_completed[1-silence before]",
        edits=(
            Edit(
                path="payments/providers/paypal/refunds.py",
                old="return is_recent and refund_amount(group) < mark.total",
                new="return False",
            ),
        ),
    ),
    Mutation(
        name="paypal-parts-that-stand",
        test=f"{PAYPAL}/test_divided_refunds.py::test_a_part_that_fails_late_can_be_refunded_again",
        edits=(
            Edit(
                path="payments/providers/paypal/refunds.py",
                old="return [whole, *part_facts(group, currency_code)]",
                new="return [whole]",
            ),
        ),
    ),
    Mutation(
        name="paypal-certificate-host",
        test=f"{PAYPAL}/test_proof.py::TestCertificates::test_no_other_address_is_followed",
        edits=(
            Edit(
                path="payments/providers/paypal/webhooks.py",
                old="if origin not in allowed or path is None",
                new="if path is None",
            ),
        ),
    ),
    Mutation(
        name="paypal-lookup-after-refusal",
        test=f"{PAYPAL}/test_outcomes.py::test_not_reaching_paypal_after_a_refusal_does_not_mean_not_done",
        edits=(
            Edit(
                path="payments/providers/paypal/client.py",
                old="""    except ProviderUnavailableError as error:
        raise PayPalAnswerError("PayPal can't be asked what became of it.") from error""",
                new="""    except ProviderUnavailableError:
        raise""",
            ),
        ),
    ),
    Mutation(
        name="pretend-money-sessions",
        test=f"{PRETEND}::test_nobody_opens_a_session_with_pretend_money",
        edits=(Edit(path=f"{SERVICES}/providers.py", old="    check_money(provider)\n", new=""),),
    ),
    Mutation(
        name="pretend-money-events",
        test=f"{PRETEND}::test_no_event_about_pretend_money_is_believed",
        edits=(
            Edit(
                path=f"{BACKGROUND}/inbox.py",
                old="if is_refused(provider) or not provider.supports_webhooks:",
                new="if not provider.supports_webhooks:",
            ),
        ),
    ),
    Mutation(
        name="published-secrets",
        test=f"{PRETEND}::test_a_guest_pays_nothing_with_an_event_signed_by_the_documentation",
        edits=(
            Edit(
                path="payments/providers/registry.py",
                old="published = [] if config.is_debug else _published_options(options)",
                new="published: list[str] = []",
            ),
        ),
    ),
    Mutation(
        name="renewed-secret",
        test="tests/api/test_idempotency.py"
        "::test_a_request_under_its_key_stays_the_same_when_the_secret_is_renewed",
        edits=(
            Edit(
                path="payments/api/storefront/access.py",
                old='self._held = f"{collection.pk}:{generation}" if has_secret else None',
                new="self._held = self.request.headers.get(HEADER)",
            ),
        ),
    ),
)


class MutationError(Exception):
    """The experiment itself doesn't work: a piece of code isn't there, or a test doesn't run or pass."""


def misfits(mutation: Mutation, root: Path = ROOT) -> list[str]:
    """Return which of a mutation's pieces are not in the code exactly once, so that it has to be rewritten."""
    texts = {edit: (root / edit.path).read_text(encoding="utf-8") for edit in mutation.edits}
    return [f"{edit.path}: {edit.old!r}" for edit, text in texts.items() if text.count(edit.old) != 1]


def main(arguments: list[str]) -> int:
    """Try the mutations, say of each whether it was noticed, and return 1 if any was not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *(each.name for each in MUTATIONS)], metavar="NAME")
    parser.add_argument("--database", choices=["sqlite", "postgresql"])
    options = parser.parse_args(arguments)
    wanted = [
        each
        for each in MUTATIONS
        if (not options.names or each.name in options.names) and options.database in (None, each.database)
    ]
    survivors = [each.name for each in wanted if not _is_noticed(each)]
    _say(f"\n{len(wanted) - len(survivors)} of {len(wanted)} noticed. {' '.join(survivors)}")
    return 1 if survivors else 0


def _is_noticed(mutation: Mutation) -> bool:
    """Return whether the named test passes as things are, and fails once the guard is gone."""
    with tempfile.TemporaryDirectory(prefix="payments-mutation-") as folder:
        copy = Path(folder)
        _copy_tree(copy)
        before, report = _run(mutation, copy)
        if before != 0:
            raise MutationError(f"{mutation.test} fails without any change:\n{report}")
        _apply(mutation, copy)
        after, report = _run(mutation, copy)
    is_noticed = after == TESTS_FAILED and "\nFAILED " in report and "\nERROR " not in report
    _say(f"{'noticed ' if is_noticed else 'SURVIVED'}  {mutation.name:<28}{mutation.test}")
    if not is_noticed:
        _say(report)
    return is_noticed


def _copy_tree(copy: Path) -> None:
    leave_out = shutil.ignore_patterns("__pycache__", "*.sqlite3*", "node_modules")
    for name in CODE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=leave_out)
        else:
            shutil.copy2(source, copy / name)


def _apply(mutation: Mutation, copy: Path) -> None:
    if misfit := misfits(mutation, copy):
        raise MutationError(f"{mutation.name} doesn't fit the code any more: {'; '.join(misfit)}")
    for edit in mutation.edits:
        path = copy / edit.path
        path.write_text(path.read_text(encoding="utf-8").replace(edit.old, edit.new), encoding="utf-8")


def _run(mutation: Mutation, copy: Path) -> tuple[int, str]:
    """Run the named test in the copy, with the copy's code, and return its exit code and report."""
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-rfE", "-p", "no:cacheprovider", mutation.test]
    # What is logged has lines that begin with ERROR too, and isn't one of pytest's.
    command += ["-m", "thorough or not thorough", "--show-capture=no"]
    done = subprocess.run(
        [*command, "--database", mutation.database],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def named_tests(mutations: Iterable[Mutation] = MUTATIONS) -> list[tuple[str, str]]:
    """Return the file and the function of every named test."""
    parts = (mutation.test.partition("[")[0].split("::") for mutation in mutations)
    return [(path, function) for path, *_class, function in parts]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
