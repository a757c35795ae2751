"""Stripe's refusals: how certain each one is, and in which words a shop and a payer read it.

Whatever isn't sorted here is raised as it is, and so counts as an unknown outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import stripe
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from payments.exceptions import ProviderUnavailableError
from payments.providers import errors
from payments.providers.errors import never_left
from payments.providers.facts import Failure

MAX_CODE: Final = 64

_IN_PROGRESS: Final = "idempotency_key_in_use"
_MISSING: Final = "resource_missing"


class Reason(StrEnum):
    """The reasons why a payment method didn't pay, as far as a shop or payer can act on them."""

    DECLINED = "card_declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    LIMIT_EXCEEDED = "limit_exceeded"
    EXPIRED = "expired_card"
    INCORRECT_DETAILS = "incorrect_details"
    AUTHENTICATION_REQUIRED = "authentication_required"
    AUTHENTICATION_FAILED = "authentication_failed"
    NOT_SUPPORTED = "not_supported"
    DUPLICATE = "duplicate_transaction"
    PROCESSING_ERROR = "processing_error"


class Advice(StrEnum):
    """The advice that a refusal comes with. The first three are Stripe's own `advice_code`."""

    CONFIRM_DETAILS = "confirm_card_data"
    TRY_LATER = "try_again_later"
    NEVER = "do_not_try_again"
    AUTHENTICATE = "authenticate"
    OTHER_METHOD = "use_another_method"


_MESSAGES: Final[Mapping[Reason, Promise]] = {
    Reason.DECLINED: _("Your payment was declined. Use another payment method, or ask your bank."),
    Reason.INSUFFICIENT_FUNDS: _("There is not enough money for this payment. Use another payment method."),
    Reason.LIMIT_EXCEEDED: _(
        "This payment is over your limit. Use another payment method, or ask your bank."
    ),
    Reason.EXPIRED: _("Your card has expired. Use another card."),
    Reason.INCORRECT_DETAILS: _("Some of what you entered is not right. Check it and try again."),
    Reason.AUTHENTICATION_REQUIRED: _(
        "Your bank asks you to confirm this payment. Try again and confirm it."
    ),
    Reason.AUTHENTICATION_FAILED: _(
        "The payment was not confirmed. Try again, or use another payment method."
    ),
    Reason.NOT_SUPPORTED: _("This payment method can't be used here. Use another one."),
    Reason.DUPLICATE: _("The same payment was made a moment ago. Check whether you have paid already."),
    Reason.PROCESSING_ERROR: _("Something went wrong at the bank. Try again in a moment."),
}

# Sources, read in November 2026: https://docs.stripe.com/declines/codes (decline codes and next steps),
# https://docs.stripe.com/error-codes, and https://docs.stripe.com/declines/card (`advice_code`). Where Stripe asks not
# to tell the payer (a stolen card, a suspicion of fraud), the reason is the plain `card_declined`; operators read the
# real one in the failure's detail.
_REASONS: Final[Mapping[tuple[Reason, Advice], str]] = {
    (Reason.DECLINED, Advice.OTHER_METHOD): """
        card_declined generic_decline call_issuer do_not_honor no_action_taken approve_with_id security_violation
        transaction_not_allowed service_not_allowed restricted_card payment_method_provider_decline
        payment_method_customer_decline bank_account_declined payment_intent_payment_attempt_failed refer_to_customer
    """,
    (Reason.DECLINED, Advice.NEVER): """
        do_not_try_again fraudulent lost_card stolen_card pickup_card merchant_blacklist
        revocation_of_all_authorizations revocation_of_authorization stop_payment_order
        new_account_information_available debit_not_authorized account_closed
    """,
    (Reason.INSUFFICIENT_FUNDS, Advice.TRY_LATER): "insufficient_funds",
    (Reason.LIMIT_EXCEEDED, Advice.TRY_LATER): """
        card_velocity_exceeded withdrawal_count_limit_exceeded card_decline_rate_limit_exceeded
        charge_exceeds_source_limit charge_exceeds_transaction_limit
    """,
    (Reason.EXPIRED, Advice.OTHER_METHOD): "expired_card expired_payment_method",
    (Reason.INCORRECT_DETAILS, Advice.CONFIRM_DETAILS): """
        incorrect_address incorrect_cvc incorrect_number incorrect_pin incorrect_postal_code incorrect_zip
        invalid_account invalid_cvc invalid_expiry_month invalid_expiry_year invalid_number invalid_pin pin_try_exceeded
    """,
    (Reason.AUTHENTICATION_REQUIRED, Advice.AUTHENTICATE): """
        authentication_required offline_pin_required online_or_offline_pin_required payment_intent_action_required
    """,
    (Reason.AUTHENTICATION_FAILED, Advice.AUTHENTICATE): """
        authentication_failure payment_intent_authentication_failure setup_intent_authentication_failure
        authentication_not_handled mobile_device_authentication_required
    """,
    (Reason.NOT_SUPPORTED, Advice.OTHER_METHOD): """
        card_not_supported currency_not_supported not_permitted testmode_decline test_mode_live_card live_mode_test_card
        invalid_amount payment_method_not_available payment_intent_incompatible_payment_method
        payment_method_unsupported_type payment_method_currency_mismatch
    """,
    (Reason.DUPLICATE, Advice.NEVER): "duplicate_transaction",
    (Reason.PROCESSING_ERROR, Advice.TRY_LATER): """
        processing_error issuer_not_available reenter_transaction try_again_later payment_method_provider_timeout
        payment_intent_payment_attempt_expired
    """,
}

TAXONOMY: Final[Mapping[str, tuple[Reason, Advice]]] = {
    code: verdict for verdict, codes in _REASONS.items() for code in codes.split()
}
"""What each of Stripe's codes amounts to."""

_UNLISTED: Final = (Reason.DECLINED, Advice.OTHER_METHOD)

_REQUESTS: Final[Mapping[str, Promise]] = {
    "amount_too_large": _("The amount is more than is possible here."),
    "amount_too_small": _("The amount is less than the payment provider takes."),
    "charge_already_captured": _("The money was captured already."),
    "charge_already_refunded": _("The money was refunded already."),
    "charge_disputed": _("The payment is disputed at the payer's bank, so it can't be refunded."),
    "charge_expired_for_capture": _("The authorization has expired."),
    "invalid_amount": _("The amount is more than is left, or not possible here."),
    "payment_intent_unexpected_state": _("The payment is in a state that doesn't allow this any more."),
}
_REFUSED: Final = _("The payment provider refused this.")


def card_failure(error: Mapping[str, Any], *, request_id: str | None = None) -> Failure:
    """Return why a payment method didn't pay, from an error of Stripe's or an intent's `last_payment_error`."""
    code = str(error.get("code") or "card_declined")
    decline_code = str(error.get("decline_code") or "")
    reason, advice = TAXONOMY.get(decline_code) or TAXONOMY.get(code) or _UNLISTED
    detail = {
        "code": "/".join(filter(None, (code, decline_code))),
        "advice": error.get("advice_code") or advice,
        "network": error.get("network_decline_code"),
        "request": request_id,
    }
    return Failure(code=str(reason), message=_MESSAGES[reason], detail=_detail(detail))


def request_failure(error: Mapping[str, Any], *, request_id: str | None = None) -> Failure:
    """Return why Stripe refused a request that has nothing to do with the payer's bank."""
    code = _request_code(error)
    detail = {"code": error.get("code"), "param": error.get("param"), "request": request_id}
    said = f"{error.get('message') or ''} ({_detail(detail)})".strip()
    return Failure(code=code, message=_REQUESTS.get(code, _REFUSED), detail=said)


def _request_code(error: Mapping[str, Any]) -> str:
    """Return the error's code. A refund of more than is left has none, only the name of the parameter."""
    if error.get("code"):
        return str(error["code"])[:MAX_CODE]
    return "invalid_amount" if error.get("param") == "amount" else "invalid_request"


def _detail(parts: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in parts.items() if value)


class StripeAnswerError(Exception):
    """An unusable answer, so that the outcome is unknown."""


class RefusedError(errors.RefusedError):
    """A definite refusal; `is_by_card` where the payer's bank has refused.

    `param` is Stripe's name for the parameter that is to blame, if it names one.
    """

    def __init__(
        self,
        failure: Failure,
        *,
        is_missing: bool = False,
        is_by_card: bool = False,
        param: str | None = None,
    ) -> None:
        super().__init__(failure, is_missing=is_missing)
        self.is_by_card = is_by_card
        self.param = param


def sorted_error(error: stripe.StripeError, *, is_uncertain: bool) -> Exception:
    """Return what an error amounts to.

    `is_uncertain` tells that an earlier attempt of the same call may have been acted on.
    """
    # Once the library has repeated a request whose first answer was lost, only a success or a bank's refusal is
    # believed: Stripe keeps both under the idempotency key, and answers the repetition with the first attempt's.
    if isinstance(error, stripe.CardError):
        failure = card_failure(_body(error), request_id=error.request_id)
        return RefusedError(failure, is_by_card=True)
    if is_uncertain:
        return error
    if isinstance(error, stripe.InvalidRequestError) and error.code != _IN_PROGRESS:
        failure = request_failure(_body(error), request_id=error.request_id)
        return RefusedError(failure, is_missing=error.code == _MISSING, param=error.param)
    return _not_done(error) or error


def _not_done(error: stripe.StripeError) -> ProviderUnavailableError | None:
    """Return what an error amounts to after which nothing was done, and trying again is safe."""
    if isinstance(error, stripe.RateLimitError):
        return ProviderUnavailableError("Stripe has too much to do right now.", code="rate_limited")
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return ProviderUnavailableError("Stripe refuses the API key.", code="api_key_refused")
    if isinstance(error, stripe.APIConnectionError) and never_left(error):
        return ProviderUnavailableError("Stripe can't be reached.")
    return None


def _body(error: stripe.StripeError) -> Mapping[str, Any]:
    """Return the error object as Stripe sent it."""
    body = error.json_body
    problem = body.get("error") if isinstance(body, dict) else None
    return problem if isinstance(problem, dict) else {}
