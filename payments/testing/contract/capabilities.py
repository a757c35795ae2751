"""The contract's part about honesty: what a provider declares that it can't do, it doesn't do quietly either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal

import pytest

from payments.exceptions import NotSupportedError
from payments.providers import BaseProvider, ProviderResult, WebhookRequest
from payments.providers.publishing import undeclarable
from payments.states import OperationKind, Outcome
from payments.testing.contract.driver import SessionDriver
from payments.testing.contract.hooks import ContractHooks

Trial = Callable[[SessionDriver, Decimal], ProviderResult]


def _capture_twice(driver: SessionDriver, part: Decimal) -> ProviderResult:
    driver.capture(part)
    return driver.capture(part)


_TRIALS: Mapping[str, Trial] = {
    "supports_update": lambda driver, part: driver.update(part),
    "supports_partial_capture": lambda driver, part: driver.capture(part),
    "supports_multiple_captures": _capture_twice,
    "supports_refund": lambda driver, _part: driver.refund(),
    "supports_partial_refund": lambda driver, part: driver.refund(part),
    "supports_retrieve": lambda driver, _part: driver.retrieve(),
}
_AFTER_CAPTURE = frozenset({"supports_refund", "supports_partial_refund"})


class CapabilityContract(ContractHooks):
    """Test what the class declares."""

    def test_the_provider_is_built_with_its_alias_and_its_options(self) -> None:
        assert isinstance(self.provider, BaseProvider)
        assert self.provider.alias
        assert isinstance(self.provider.options, type(self.provider).options_class)

    def test_declarations_have_the_types_that_the_services_read(self) -> None:
        provider = self.provider
        assert str(provider.verbose_name), "A person reads verbose_name when they choose how to pay."
        for keys in (provider.public_data_keys, provider.input_keys):
            assert isinstance(keys, frozenset)
            assert all(isinstance(key, str) for key in keys)
        wrong = undeclarable(provider.public_data_keys)
        assert not wrong, f'Not a name such as "token", "next.url" or "methods[].id": {", ".join(wrong)}'
        for window in (provider.idempotency_window, *map(provider.key_window, OperationKind)):
            assert window is None or window > timedelta(0)
        flags = [name for name in dir(provider) if name.startswith("supports_")]
        assert all(isinstance(getattr(provider, name), bool) for name in flags)

    def test_it_says_whether_it_moves_real_money(self) -> None:
        assert isinstance(self.provider.moves_real_money, bool), (
            "Say moves_real_money = True, or in a property False for a test key, a sandbox or a simulation."
        )

    def test_working_options_pass_the_provider_s_own_check(self) -> None:
        assert not list(self.provider.check())

    def test_what_is_declared_as_unsupported_is_not_done_quietly(self) -> None:
        unsupported = [name for name in _TRIALS if not getattr(self.provider, name)]
        for capability in unsupported:
            driver = self.captured() if capability in _AFTER_CAPTURE else self.authorized()
            if capability == "supports_update":
                driver = self.initiated()
            result = _TRIALS[capability](driver, self.parts()[0])
            is_honest = result.outcome == Outcome.DECLINED or isinstance(driver.error, NotSupportedError)
            assert is_honest, f"{capability} is False, so it is refused, or raises NotSupportedError."

    def test_a_provider_without_webhooks_says_so(self) -> None:
        if not self.provider.supports_webhooks:
            with pytest.raises(NotSupportedError):
                self.provider.parse_webhook(WebhookRequest(body=b"{}", headers={}))
