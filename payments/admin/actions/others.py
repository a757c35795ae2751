"""Switching providers, replaying webhook events and removing saved payment methods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.actions.base import Action, Report, Values
from payments.admin.actions.forms import ActionForm
from payments.admin.formatting import isolated
from payments.admin.links import find_provider, provider_name
from payments.admin.panels import Text
from payments.exceptions import NotFoundError, OutcomeUnknownError, PaymentError, ProviderUnavailableError
from payments.models import AccountHolder, PaymentProvider, WebhookEvent
from payments.providers.account_holders import AccountHolderProvider, SavedPaymentMethod
from payments.services import (
    disable_provider,
    enable_provider,
    list_saved_payment_methods,
    remove_saved_payment_method,
    replay_webhook_event,
)
from payments.states import EventSource, WebhookEventStatus


class EnableProvider(Action[PaymentProvider]):
    """The permission for new sessions to use a provider."""

    slug = "enable"
    label = gettext_lazy("Enable…")
    heading = gettext_lazy("Enable a provider")
    permission = "change_paymentprovider"

    def is_offered(self, row: PaymentProvider) -> bool:
        """Offer it while it is disabled."""
        return not row.is_enabled

    def effects(self, row: PaymentProvider, values: Values | None = None) -> Iterable[Text]:
        """Say what shoppers will see."""
        yield _("Shoppers can pay with %(provider)s again.") % {"provider": provider_name(row.pk)}

    def run(self, row: PaymentProvider, values: Values, actor: Any) -> None:
        """Enable it."""
        enable_provider(row)

    def report(self, row: PaymentProvider, values: Values) -> Report:
        """Say that it is enabled."""
        return Report(text=_("%(provider)s is enabled.") % {"provider": provider_name(row.pk)})


class DisableProvider(Action[PaymentProvider]):
    """The end of that permission."""

    slug = "disable"
    label = gettext_lazy("Disable…")
    heading = gettext_lazy("Disable a provider")
    permission = "change_paymentprovider"
    is_grave = True

    def is_offered(self, row: PaymentProvider) -> bool:
        """Offer it while it is enabled."""
        return row.is_enabled

    def effects(self, row: PaymentProvider, values: Values | None = None) -> Iterable[Text]:
        """Say what shoppers will see, and what stays possible."""
        yield _("Shoppers can't begin to pay with %(provider)s any more.") % {
            "provider": provider_name(row.pk)
        }
        yield _("What it holds already can still be captured, refunded and released.")

    def run(self, row: PaymentProvider, values: Values, actor: Any) -> None:
        """Disable it."""
        disable_provider(row)

    def report(self, row: PaymentProvider, values: Values) -> Report:
        """Say that it is disabled."""
        return Report(text=_("%(provider)s is disabled.") % {"provider": provider_name(row.pk)})


PROVIDER_ACTIONS: Final = (EnableProvider(), DisableProvider())


class ReplayWebhook(Action[WebhookEvent]):
    """Another try to apply a stored event."""

    slug = "replay"
    label = gettext_lazy("Replay…")
    heading = gettext_lazy("Replay a webhook event")
    bulk_label = gettext_lazy("Replay events")
    permission = "replay_webhook"

    def effects(self, row: WebhookEvent, values: Values | None = None) -> Iterable[Text]:
        """Say that it does no harm."""
        yield _("What the event reports is applied again, as if it had just arrived.")
        yield _("What is recorded already stays as it is: reports only move the books forward.")

    def run(self, row: WebhookEvent, values: Values, actor: Any) -> None:
        """Apply it."""
        replay_webhook_event(row, actor=actor, source=EventSource.ADMIN)

    def report(self, row: WebhookEvent, values: Values) -> Report:
        """Say what became of it."""
        status = WebhookEventStatus(row.status)
        is_good = status in (WebhookEventStatus.APPLIED, WebhookEventStatus.IGNORED)
        message = _("The event was replayed. Status: %(status)s. %(detail)s")
        return Report(
            text=(message % {"status": status.label, "detail": row.detail}).strip(),
            level=messages.SUCCESS if is_good else messages.WARNING,
        )


WEBHOOK_ACTIONS: Final = (ReplayWebhook(),)


class MethodForm(ActionForm):
    """Which of the payment methods is meant that the provider lists now."""

    method_id = forms.ChoiceField(label=gettext_lazy("Which one?"), widget=forms.RadioSelect)

    def __init__(self, *args: Any, row: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        self._trouble: PaymentError | None = None
        try:
            self._methods = list_saved_payment_methods(row)
        except PaymentError as error:
            self._methods, self._trouble = (), error
        field = self.fields["method_id"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        field.choices = [(method.id, method_text(method)) for method in self._methods]

    def clean(self) -> dict[str, Any] | None:
        """Refuse any choice while the provider gives no list."""
        if self._trouble is not None:
            raise forms.ValidationError(self._trouble.message, code=self._trouble.code)
        return super().clean()

    def summary(self) -> list[tuple[str | Promise, str]]:
        """Return which one it is."""
        chosen = self.cleaned_data.get("method_id")
        return [(_("Payment method"), method_text(method)) for method in self._methods if method.id == chosen]


class RemoveSavedMethod(Action[AccountHolder]):
    """The removal of a saved payment method at its provider."""

    slug = "remove-method"
    label = gettext_lazy("Remove a payment method…")
    heading = gettext_lazy("Remove a saved payment method")
    permission = "remove_saved_method"
    is_grave = True
    form_class = MethodForm

    def is_offered(self, row: AccountHolder) -> bool:
        """Offer it where there may be something saved."""
        return keeps_methods(row)

    def check(self, row: AccountHolder) -> None:
        """Raise where the provider can't be asked, or knows of none."""
        if not list_saved_payment_methods(row):
            raise NotFoundError(_("The customer has saved no payment method."), code="nothing_saved")

    def effects(self, row: AccountHolder, values: Values | None = None) -> Iterable[Text]:
        """Say what that means for the customer."""
        yield _(
            "%(provider)s forgets it. Nothing brings it back: the customer would have to save it again."
        ) % {"provider": provider_name(row.provider_id)}
        yield _("Installments that fall due can't be charged with it any more.")

    def run(self, row: AccountHolder, values: Values, actor: Any) -> None:
        """Have it forgotten; asking again does no harm."""
        try:
            remove_saved_payment_method(row, values["method_id"])
        except OutcomeUnknownError as error:
            raise ProviderUnavailableError(
                _("The provider gave no answer. Look whether it is still listed."), code=error.code
            ) from error

    def report(self, row: AccountHolder, values: Values) -> Report:
        """Say which payment method is gone."""
        return Report(
            text=_("%(provider)s has forgotten the payment method %(id)s.")
            % {"provider": provider_name(row.provider_id), "id": values["method_id"]}
        )


def method_text(method: SavedPaymentMethod) -> str:
    """Return only what distinguishes a saved payment method from others."""
    digits = isolated(f"•••• {method.last4}") if method.last4 else ""
    expires = _("until %(month)s") % {"month": isolated(method.expires)} if method.expires else ""
    return " ".join(part for part in (method.brand or method.type, digits, expires) if part)


def keeps_methods(row: AccountHolder) -> bool:
    """Return whether a row is an account at a provider that keeps saved payment methods today."""
    return row.provider_reference is not None and isinstance(
        find_provider(row.provider_id), AccountHolderProvider
    )


ACCOUNT_HOLDER_ACTIONS: Final = (RemoveSavedMethod(),)
