"""Calls to Stripe through its own library, each with a timeout, and with plain dicts on the way out.

Every call builds a client of its own, so no connection is kept that the other side may have closed meanwhile: a request
lost on one would be an unknown outcome.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import stripe
from django.views.decorators.debug import sensitive_variables

from payments.providers.errors import never_left
from payments.providers.stripe.errors import RefusedError, StripeAnswerError, sorted_error
from payments.providers.stripe.options import StripeOptions

if TYPE_CHECKING:
    from stripe import params as p

Json = dict[str, Any]

SESSION_KEY: Final = "payment_session"
"""Under which key an intent's metadata names our session; refunds and charges have it too."""

ACCOUNT_KEY: Final = "payment_account_holder"
"""Under which key a Customer's metadata names our account holder."""

EXPAND: Final = "latest_charge"

MAX_PAGES: Final = 20
PAGE: Final = 100

# Stripe's library reports on earlier calls and on the machine with every request, unless the process opts out.
stripe.enable_telemetry = False

# At DEBUG it logs what is sent and answered: tokens of payers, and the secrets of intents.
logging.getLogger("stripe").addFilter(lambda record: record.levelno > logging.DEBUG)


class StripeApi:
    """A way to ask Stripe for one thing at a time.

    Every method raises RefusedError for a definite refusal and ProviderUnavailableError where nothing was done;
    anything else that it raises means that nobody knows.
    """

    def __init__(self, options: StripeOptions) -> None:
        self._options = options

    def create_intent(self, params: p.PaymentIntentCreateParams, *, key: str) -> Json:
        """Make a PaymentIntent."""
        return self._call(lambda api: api.payment_intents.create(params, {"idempotency_key": key}))

    def update_intent(self, intent_id: str, params: p.PaymentIntentUpdateParams, *, key: str) -> Json:
        """Change a PaymentIntent that isn't authorized."""
        return self._call(lambda api: api.payment_intents.update(intent_id, params, {"idempotency_key": key}))

    def confirm_intent(self, intent_id: str, params: p.PaymentIntentConfirmParams, *, key: str) -> Json:
        """Have a PaymentIntent authorized."""
        params = {**params, "expand": [EXPAND]}
        return self._call(
            lambda api: api.payment_intents.confirm(intent_id, params, {"idempotency_key": key})
        )

    def capture_intent(self, intent_id: str, params: p.PaymentIntentCaptureParams, *, key: str) -> Json:
        """Take money that a PaymentIntent holds."""
        params = {**params, "expand": [EXPAND]}
        return self._call(
            lambda api: api.payment_intents.capture(intent_id, params, {"idempotency_key": key})
        )

    def cancel_intent(self, intent_id: str, params: p.PaymentIntentCancelParams, *, key: str) -> Json:
        """Release what a PaymentIntent holds, or abandon it."""
        params = {**params, "expand": [EXPAND]}
        return self._call(lambda api: api.payment_intents.cancel(intent_id, params, {"idempotency_key": key}))

    def intent(self, intent_id: str) -> Json:
        """Read a PaymentIntent with its charge."""
        return self._call(lambda api: api.payment_intents.retrieve(intent_id, {"expand": [EXPAND]}))

    def intent_or_none(self, intent_id: str) -> Json | None:
        """Read a PaymentIntent with its charge, or return None where Stripe has none with this id."""
        try:
            return self.intent(intent_id)
        except RefusedError as error:
            if error.is_missing:
                return None
            raise

    def find_intent(self, session_id: str) -> Json | None:
        """Find a PaymentIntent by our session's id.

        Stripe's search lags behind by seconds, after an outage by up to an hour, and is not offered in India
        (https://docs.stripe.com/search, November 2026), so None doesn't prove that there is no intent.
        """
        query = f"metadata['{SESSION_KEY}']:'{session_id}'"
        found = self._call(lambda api: api.payment_intents.search({"query": query, "limit": 1}))
        return self.intent_or_none(found["data"][0]["id"]) if found["data"] else None

    def create_refund(self, params: p.RefundCreateParams, *, key: str) -> Json:
        """Give money back."""
        return self._call(lambda api: api.refunds.create(params, {"idempotency_key": key}))

    def refunds(self, intent_id: str) -> list[Json]:
        """List all refunds of a PaymentIntent, oldest first."""
        return self._all(
            lambda api, after: api.refunds.list({"payment_intent": intent_id, "limit": PAGE, **after})
        )

    def disputes(self, intent_id: str) -> list[Json]:
        """List all disputes of a PaymentIntent, oldest first."""
        return self._all(
            lambda api, after: api.disputes.list({"payment_intent": intent_id, "limit": PAGE, **after})
        )

    def create_customer(self, params: p.CustomerCreateParams, *, key: str) -> Json:
        """Make a Customer."""
        return self._call(lambda api: api.customers.create(params, {"idempotency_key": key}))

    def find_customer(self, account_holder_id: str) -> Json | None:
        """Find a Customer by our account holder's id; Stripe's search lags behind, as for intents."""
        query = f"metadata['{ACCOUNT_KEY}']:'{account_holder_id}'"
        found = self._call(lambda api: api.customers.search({"query": query}))
        return next((row for row in found["data"] if not self.is_deleted(row["id"])), None)

    def delete_customer(self, customer_id: str) -> Json:
        """Delete a Customer for good, with all that they have saved."""
        return self._call(lambda api: api.customers.delete(customer_id))

    def is_deleted(self, customer_id: str) -> bool:
        """Return whether a Customer was deleted, of which Stripe keeps a trace.

        https://docs.stripe.com/api/customers/delete, November 2026. One that isn't found may be another account's.
        """
        try:
            customer = self._call(lambda api: api.customers.retrieve(customer_id))
        except RefusedError as error:
            if error.is_missing:
                return False
            raise
        return bool(customer.get("deleted"))

    def payment_methods(self, customer_id: str) -> list[Json]:
        """List the saved payment methods of a Customer, oldest first."""
        return self._all(
            lambda api, after: api.customers.payment_methods.list(customer_id, {"limit": PAGE, **after})
        )

    def payment_method(self, method_id: str) -> Json:
        """Read a payment method."""
        return self._call(lambda api: api.payment_methods.retrieve(method_id))

    def confirmation_token(self, token_id: str) -> Json:
        """Read a confirmation token, with a preview of the payment method that it stands for."""
        return self._call(lambda api: api.confirmation_tokens.retrieve(token_id))

    def create_setup_intent(self, params: p.SetupIntentCreateParams, *, key: str) -> Json:
        """Make a SetupIntent, with which a browser saves a payment method."""
        return self._call(lambda api: api.setup_intents.create(params, {"idempotency_key": key}))

    def detach_payment_method(self, method_id: str, *, key: str) -> Json:
        """Forget a saved payment method."""
        return self._call(lambda api: api.payment_methods.detach(method_id, {}, {"idempotency_key": key}))

    def webhook_endpoints(self) -> list[Json]:
        """List the account's webhook endpoints."""
        return self._all(lambda api, after: api.webhook_endpoints.list({"limit": PAGE, **after}))

    def _all(self, page: Callable[[Any, Any], Any]) -> list[Json]:
        rows: list[Json] = []
        after: dict[str, str] = {}
        for _number in range(MAX_PAGES):
            answer = self._call(lambda api, after=after: page(api, after))  # type: ignore[misc]
            rows += answer["data"]
            if not answer["has_more"]:
                return rows[::-1]
            after = {"starting_after": answer["data"][-1]["id"]}
        raise StripeAnswerError("Stripe's list has no end.")

    @sensitive_variables()
    def _call(self, call: Callable[[stripe._v1_services.V1Services], Any]) -> Json:
        http = _WatchedClient(timeout=self._options.timeout)
        client = stripe.StripeClient(
            self._options.api_key,
            stripe_version=self._options.api_version,
            base_addresses={"api": self._options.api_base.rstrip("/")},
            max_network_retries=self._options.max_network_retries,
            http_client=http,
        )
        try:
            return self._plain(call(client.v1))
        except stripe.StripeError as error:
            raise sorted_error(error, is_uncertain=http.is_uncertain) from error
        finally:
            http.close()  # type: ignore[no-untyped-call]

    def _plain(self, answer: Any) -> Json:
        """Return an answer as a dict, if it is one of the mode that is meant."""
        if not isinstance(answer, stripe.StripeObject):
            raise StripeAnswerError("Stripe's answer is not an object.")
        plain: Json = answer.to_dict()
        if plain.get("livemode", self._options.is_live) != self._options.is_live:
            raise StripeAnswerError("Stripe's answer is of the other mode.")
        return plain


class _WatchedClient(stripe.RequestsClient):
    """An HTTP client that remembers whether one of its requests may have been acted on without our knowing."""

    is_uncertain = False

    def request(  # type: ignore[override] # as its parent has it, which isn't as its grandparent has it
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            answer = super().request(method, url, headers, post_data)
        except stripe.APIConnectionError as error:
            self.is_uncertain = self.is_uncertain or not never_left(error)
            raise
        is_useless = answer[1] == HTTPStatus.CONFLICT or answer[1] >= HTTPStatus.INTERNAL_SERVER_ERROR
        self.is_uncertain = self.is_uncertain or is_useless
        return answer
