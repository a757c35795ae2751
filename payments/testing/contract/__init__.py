"""The contract: what the services rely on, as tests that every provider has to pass.

    from payments.testing import Attempt, ProviderContract

    class TestAcmeProvider(ProviderContract):
        def make_provider(self):
            return AcmeProvider(alias="acme", options=AcmeOptions(api_key=SANDBOX_KEY))

        def declined(self):
            return Attempt(input={"token": "tok_declined"})

        def challenged(self):
            return Attempt(input={"token": "tok_3ds"})

        def pass_challenge(self, driver):
            return {"code": "123456"}

Under pytest that is all; fixtures of your own go in with an autouse fixture that sets attributes on `self`, which is
there before `make_provider` is called. Under unittest it is a mixin: `class TestAcme(ProviderContract,
unittest.TestCase)`, with `setUp` in the fixture's place. What a provider declares that it can't do, and what a hook
says it can't bring about, is skipped with a reason that names the capability or hook, so read the skips.

The tests need no database, and call the provider as the services do, through `call_provider`.
"""

from __future__ import annotations

from payments.testing.contract.accounts import AccountContract
from payments.testing.contract.driver import Attempt, SessionDriver
from payments.testing.contract.facts import RetrieveContract, SecrecyContract, WebhookContract
from payments.testing.contract.movements import CancelContract, CaptureContract, RefundContract
from payments.testing.contract.sessions import AuthorizationContract, CapabilityContract, InitiationContract
from payments.testing.contract.wire import WireContract

__all__ = ["Attempt", "ProviderContract", "SessionDriver"]


class ProviderContract(
    InitiationContract,
    AuthorizationContract,
    CaptureContract,
    RefundContract,
    CancelContract,
    RetrieveContract,
    CapabilityContract,
    SecrecyContract,
    WebhookContract,
    WireContract,
    AccountContract,
):
    """All tests of one provider: subclass it, give `make_provider`, then the hooks that the provider has an answer to.

    The hooks and attributes are those of `payments.testing.contract.hooks.ContractHooks`.
    """
