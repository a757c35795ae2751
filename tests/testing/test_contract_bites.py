"""The contract bites: a provider that breaks a rule fails the tests that are named after it, and only those.

The contract runs under unittest here, so this shows too that it needs no pytest.

A test that never comes to the verb that a provider breaks is the same with it as with the one that keeps the rules, so
it is run with the latter only.
"""

from __future__ import annotations

import unittest
from collections.abc import Iterator, Mapping
from inspect import isfunction
from typing import Any, ClassVar

import pytest

from payments.providers.simulator import SimulatorProvider
from payments.simulator import SimulatorService
from tests.testing import broken_providers as broken
from tests.testing.test_contract import SimulatorContract

pytestmark = [pytest.mark.database_independent, pytest.mark.thorough]

SLOW = {
    "test_silence_ends_after_the_timeout_with_an_unknown_outcome",
    "test_a_useless_answer_is_an_unknown_outcome",
}
"""Run for the providers only that break these."""

BROKEN = [
    (
        broken.PublishesAnUndeclaredKey,
        {"test_initiate_publishes_declared_keys_only", "test_private_keys_are_not_public_ones"},
    ),
    (broken.PublishesAnUndeclaredObject, {"test_initiate_publishes_declared_keys_only"}),
    (broken.SendsThePayerToItsApiKey, {"test_an_action_leads_to_nothing_private"}),
    (
        broken.NamesARefusalInWords,
        {
            "test_a_declined_authorization_says_why",
            "test_a_declined_authorization_holds_nothing",
            "test_a_payer_who_was_declined_may_try_again",
            "test_the_same_key_gives_the_same_refusal",
            "test_refusals_tell_the_payer_nothing_private",
            "test_cancel_abandons_an_unauthorized_session",
            "test_a_deleted_account_pays_nothing_and_may_be_deleted_again",
            "test_a_removed_method_pays_nothing",
            "test_another_customer_s_method_pays_nothing",
            "test_what_is_saved_pays_nothing_for_who_is_not_known_to_be_its_customer",
        },
    ),
    (broken.PublishesAPrivateValue, {"test_nothing_private_is_published"}),
    (
        broken.PublishesItsApiKey,
        {"test_nothing_private_is_published", "test_requests_and_results_print_and_carry_no_secret"},
    ),
    (
        broken.DeclaresLessThanItDoes,
        {"test_what_is_declared_as_unsupported_is_not_done_quietly"},
    ),
    (broken.MovesMoneyPerhaps, {"test_it_says_whether_it_moves_real_money"}),
    (broken.PrintsItsOptions, {"test_options_and_provider_print_no_secret"}),
    (
        broken.IgnoresTheIdempotencyKey,
        {"test_capturing_again_with_the_same_key_takes_the_money_once"},
    ),
    (
        broken.MakesItsOwnRefundKeys,
        {"test_refunding_again_with_the_same_key_gives_the_money_back_once"},
    ),
    (broken.ForgetsTheReference, {"test_movements_echo_the_operations_that_asked_for_them"}),
    (
        broken.RoundsAmounts,
        {
            "test_an_amount_with_three_decimals_stays_exact",
            "test_an_odd_amount_stays_exact",
            "test_multiples_of_the_step_that_the_provider_names_are_taken",
        },
    ),
    (
        broken.CountsInHundredths,
        {
            "test_an_amount_without_decimals_stays_exact",
            "test_multiples_of_the_step_that_the_provider_names_are_taken",
        },
    ),
    (
        broken.NamesASmallerStepThanItTakes,
        {"test_multiples_of_the_step_that_the_provider_names_are_taken"},
    ),
    (
        broken.CapturesMoreThanAuthorized,
        {
            "test_capturing_more_than_is_authorized_is_declined",
            "test_capturing_more_than_is_left_is_declined",
        },
    ),
    (
        broken.AnswersWithTheWrongClass,
        {
            "test_refund_gives_the_whole_amount_back",
            "test_refund_in_parts_adds_up",
            "test_refunding_more_than_is_left_is_declined",
            "test_refunding_again_with_the_same_key_gives_the_money_back_once",
            "test_facts_add_up_over_a_session_s_life",
            "test_an_amount_without_decimals_stays_exact",
            "test_an_amount_with_three_decimals_stays_exact",
            "test_an_odd_amount_stays_exact",
        },
    ),
    (
        broken.CallsATimeoutARefusal,
        {
            "test_silence_ends_after_the_timeout_with_an_unknown_outcome",
            "test_a_useless_answer_is_an_unknown_outcome",
        },
    ),
    (broken.WaitsForEver, {"test_silence_ends_after_the_timeout_with_an_unknown_outcome"}),
    (
        broken.DeclinesWithoutACode,
        {
            "test_a_declined_authorization_says_why",
            "test_a_declined_authorization_holds_nothing",
            "test_a_payer_who_was_declined_may_try_again",
            "test_the_same_key_gives_the_same_refusal",
            "test_refusals_tell_the_payer_nothing_private",
            "test_cancel_abandons_an_unauthorized_session",
        },
    ),
    (broken.ExplainsTooMuch, {"test_refusals_tell_the_payer_nothing_private"}),
    (
        broken.ReportsTheLastMovementOnly,
        {
            "test_capture_in_parts_adds_up",
            "test_equal_parts_are_told_apart",
            "test_movements_echo_the_operations_that_asked_for_them",
        },
    ),
    (
        broken.DoesNotKnowMeansError,
        {
            "test_retrieve_knows_nothing_of_an_unknown_session",
            "test_retrieve_knows_nothing_of_an_unknown_reference",
        },
    ),
    (broken.ReleasesWhatIsCaptured, {"test_canceling_what_is_captured_gives_nothing_back"}),
    (
        broken.OpensANewSessionToUpdate,
        {
            "test_update_changes_the_amount_in_place",
            "test_an_updated_session_is_authorized_for_its_new_amount",
            "test_updating_an_authorized_session_is_declined",
        },
    ),
    (broken.ChangesItsRequest, {"test_authorize_states_the_whole_amount"}),
    (
        broken.BelievesUnsignedEvents,
        {
            "test_an_unsigned_event_is_refused",
            "test_a_tampered_event_is_refused",
            "test_a_truncated_event_is_refused",
            "test_an_event_signed_by_somebody_else_is_refused",
            "test_an_old_event_is_refused",
            "test_an_event_from_the_future_is_refused",
            "test_bytes_that_are_no_text_are_refused",
            "test_signed_nonsense_is_refused",
        },
    ),
    (
        broken.BelievesOldEvents,
        {"test_an_old_event_is_refused", "test_an_event_from_the_future_is_refused"},
    ),
    (
        broken.NamesTheRefundInsteadOfItsCapture,
        {"test_a_refund_made_at_the_provider_can_be_traced_to_its_session"},
    ),
    (broken.ChokesOnBytes, {"test_bytes_that_are_no_text_are_refused"}),
    (
        broken.MakesAnAccountEachTime,
        {"test_an_account_is_made_once_however_often_it_is_asked_for"},
    ),
    (
        broken.ShowsTheWholeNumber,
        {"test_saved_methods_are_listed_newest_first_and_told_apart_by_a_few_digits"},
    ),
    (
        broken.OnlySaysThatItRemoved,
        {
            "test_a_removed_method_is_gone_and_the_others_stay",
            "test_a_removed_method_pays_nothing",
        },
    ),
    (
        broken.PaysForWhoeverKnowsTheId,
        {
            "test_what_is_saved_pays_nothing_for_who_is_not_known_to_be_its_customer",
            "test_a_customer_whose_bank_wants_them_comes_back_and_authorizes",
        },
    ),
    (broken.AsksNobodyBack, {"test_a_customer_whose_bank_wants_them_comes_back_and_authorizes"}),
]
PARTLY = {broken.ReportsTheLastMovementOnly, broken.ChangesItsRequest, broken.DeclinesWithoutACode}
"""These break so much that more tests fail than those that are named after it."""


class WatchedProvider(SimulatorProvider):
    """A provider that keeps the rules, and notes which of its attributes are read."""

    read: ClassVar[set[str]] = set()

    def __getattribute__(self, name: str) -> Any:
        WatchedProvider.read.add(name)
        return super().__getattribute__(name)


@pytest.fixture(scope="module")
def service() -> Iterator[SimulatorService]:
    with SimulatorService(async_delay=None) as running:
        yield running


@pytest.fixture(scope="module")
def reads(service: SimulatorService) -> Mapping[str, set[str]]:
    """Run the contract with a provider that keeps the rules, and return what each test reads of it."""
    found: dict[str, set[str]] = {}
    for name in unittest.TestLoader().getTestCaseNames(SimulatorContract):  # type: ignore[arg-type]
        if name not in SLOW:
            WatchedProvider.read = found[name] = set()
            assert run_contract(WatchedProvider, service, [name]).wasSuccessful(), name
    return found


@pytest.mark.parametrize(
    ("provider_class", "names"), [pytest.param(*case, id=case[0].__name__) for case in BROKEN]
)
def test_a_provider_that_breaks_a_rule_fails_the_tests_of_that_rule(
    service: SimulatorService,
    reads: Mapping[str, set[str]],
    provider_class: type[SimulatorProvider],
    names: set[str],
) -> None:
    failed = failing_tests(provider_class, service, (names & SLOW) | affected(provider_class, reads))
    assert names <= failed
    assert provider_class in PARTLY or failed == names


def test_a_provider_that_keeps_the_rules_passes_under_unittest(reads: Mapping[str, set[str]]) -> None:
    assert len(reads) > 60


@pytest.mark.parametrize(
    ("provider_class", "name"),
    [
        (broken.SaysThatAllIsCaptured, "test_canceling_what_is_captured_gives_nothing_back"),
        (broken.ReadsCapitalDigits, "test_an_event_signed_by_somebody_else_is_refused"),
        (broken.FindsNothingInAnEmptyList, "test_a_useless_answer_is_an_unknown_outcome"),
    ],
)
def test_a_provider_may_keep_a_rule_in_its_own_way(
    service: SimulatorService, provider_class: type[SimulatorProvider], name: str
) -> None:
    result = run_contract(provider_class, service, [name])
    assert (result.testsRun, result.failures, result.errors, result.skipped) == (1, [], [], [])


def test_a_signature_without_a_time_may_be_of_any_age(service: SimulatorService) -> None:
    names = [
        "test_an_old_event_is_refused",
        "test_an_event_from_the_future_is_refused",
        "test_a_slightly_late_event_is_accepted",
    ]
    result = run_contract(SimulatorProvider, service, names, webhook_tolerance=None)
    assert [reason.partition(": ")[2][:25] for _case, reason in result.skipped] == [
        "webhook_tolerance is None"
    ] * 3


def test_one_run_names_every_verb_and_answer_that_is_wrong(service: SimulatorService) -> None:
    name = "test_a_useless_answer_is_an_unknown_outcome"
    [(_case, trace)] = run_contract(broken.CallsEveryErrorARefusal, service, [name]).failures
    told = [
        f"{verb}: after “{kind}”" for verb in ("capture", "refund") for kind in ("500", "no HTTP", "nothing")
    ]
    assert [text for text in told if text not in trace] == []
    assert trace.index(told[0]) < trace.index(told[-1])


def affected(provider: type[SimulatorProvider], reads: Mapping[str, set[str]]) -> set[str]:
    """Return the tests that come to a verb that a provider has of its own; all, where it isn't verbs that differ."""
    own = {name for name in vars(provider) if not name.startswith("_")}
    if not own or not all(isfunction(vars(provider)[name]) for name in own):
        return set(reads)
    return {name for name, read in reads.items() if own & read}


def failing_tests(provider: type[SimulatorProvider], running: SimulatorService, names: set[str]) -> set[str]:
    """Run tests of the contract, and return the names of those that fail."""
    result = run_contract(provider, running, sorted(names))
    assert {reason for _case, reason in result.skipped} <= {
        f"{provider.__name__}: {name} is False" for name in dir(provider) if name.startswith("supports_")
    }
    return {case.id().rpartition(".")[2] for case, _trace in (*result.failures, *result.errors)}


def run_contract(
    provider: type[SimulatorProvider], running: SimulatorService, names: list[str], **attributes: Any
) -> unittest.TestResult:
    """Run tests of the contract under unittest."""

    class Case(SimulatorContract, unittest.TestCase):
        service = running
        provider_class = provider
        longest_wait = 1.0

    for name, value in attributes.items():
        setattr(Case, name, value)
    result = unittest.TestResult()
    unittest.TestSuite(Case(name) for name in names).run(result)
    return result
