"""The contract's part about secrets: what is private isn't published, printed or packed into what travels."""

from __future__ import annotations

import json
import pickle
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from payments.providers import ProviderResult
from payments.providers.publishing import texts_in
from payments.testing.contract.driver import SessionDriver
from payments.testing.contract.expectations import declined, fact_of
from payments.testing.contract.hooks import ContractHooks

SHORTEST_SECRET = 6
"""A shorter text isn't looked for: it would turn up by chance."""


class SecrecyContract(ContractHooks):
    """Test what a provider shows."""

    def test_nothing_private_is_published(self) -> None:
        for driver in self._drivers():
            public = json.dumps(driver.data, cls=DjangoJSONEncoder)
            for secret in (*self._private_texts(driver), *self._secrets()):
                assert secret not in public, (
                    "data holds what is private: the value of provider_data or an option."
                )

    def test_an_action_leads_to_nothing_private(self) -> None:
        driver = self.initiated(self.or_skip(self.challenged(), "challenged"))
        action = driver.authorize().next_action
        for secret in (*self._private_texts(driver), *self._secrets()):
            assert action is None or secret not in (action.url or ""), (
                "The url of an action holds what is private: the value of provider_data or an option."
            )

    def test_private_keys_are_not_public_ones(self) -> None:
        for driver in self._drivers():
            both = (set(driver.data) & set(driver.provider_data)) - self.provider.public_data_keys
            assert not both, f"In data and provider_data, but not in public_data_keys: {sorted(both)}"

    def test_options_and_provider_print_no_secret(self) -> None:
        self._is_silent(self.provider.options, self.provider, [self.provider])

    def test_requests_and_results_print_and_carry_no_secret(self) -> None:
        driver = self.start()
        results: list[ProviderResult] = [driver.initiate(), driver.authorize(), driver.capture()]
        if self.provider.supports_retrieve:
            results.append(driver.retrieve())
        private = list(self._private_texts(driver))
        for result in results:
            self._is_silent(result, result.exchange, result.failure, driver.data, driver.provider_data)
            carried = pickle.dumps(result)
            assert not any(secret.encode() in carried for secret in self._secrets())
            shown = f"{result!r} {result.exchange!r}"
            assert not any(text in shown for text in private), "A result prints what is in provider_data."

    def test_refusals_tell_the_payer_nothing_private(self) -> None:
        driver = self.initiated(self.or_skip(self.declined(), "declined"))
        failure = declined(driver, driver.authorize()).failure
        assert failure is not None
        for private in (*self._secrets(), *self._private_texts(driver), "Traceback", 'File "'):
            assert private not in f"{failure.code} {failure.message}"

    def test_facts_show_nothing_private(self) -> None:
        self.require("supports_retrieve")
        driver = self.authorized()
        fact = fact_of(driver)
        public = json.dumps(dict(fact.data or {}), cls=DjangoJSONEncoder)
        for secret in (*self._private_texts(driver), *self._secrets()):
            assert secret not in public
            assert secret not in repr(fact)

    def _drivers(self) -> list[SessionDriver]:
        drivers = [self.initiated(), self.authorized()]
        challenge = self.challenged()
        if challenge is not None:
            challenged = self.initiated(challenge)
            challenged.authorize()
            drivers.append(challenged)
        return drivers

    def _private_texts(self, driver: SessionDriver) -> set[str]:
        """Return the texts of provider_data that aren't declared public under their own key."""
        private = {
            name: value
            for name, value in driver.provider_data.items()
            if name not in self.provider.public_data_keys
        }
        known = {driver.provider_reference, driver.session_id, driver.currency_code}
        sent = set(texts_in(dict(driver.attempt.input)))
        return {text for text in texts_in(private) if len(text) >= SHORTEST_SECRET} - known - sent

    def _secrets(self) -> set[str]:
        return {text for text in self.secret_values(self.provider) if text}

    def _is_silent(self, *values: Any) -> None:
        for value in values:
            shown = f"{value!r} {value!s}"
            assert not any(secret in shown for secret in self._secrets()), (
                f"A {type(value).__name__} prints a secret: give its field repr=False."
            )
