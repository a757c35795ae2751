"""Having a provider forget what a customer has saved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.actions.base import Action, Report, Values
from payments.admin.actions.forms import ActionForm
from payments.admin.panels import Text
from payments.admin.plugins import plugin_of, provider_name
from payments.admin.words import isolated
from payments.exceptions import NotFoundError, OutcomeUnknownError, PaymentError, ProviderUnavailableError
from payments.models import AccountHolder
from payments.providers.account_holders import AccountHolderProvider, SavedPaymentMethod
from payments.services import list_saved_payment_methods, remove_saved_payment_method


class MethodForm(ActionForm):
    """Ask which saved payment method is meant; what there is, the provider says now."""

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
        """Refuse anything while the provider doesn't say what there is."""
        if self._trouble is not None:
            raise forms.ValidationError(self._trouble.message, code=self._trouble.code)
        return super().clean()

    def summary(self) -> list[tuple[str | Promise, str]]:
        """Return which one it is."""
        chosen = self.cleaned_data.get("method_id")
        return [(_("Payment method"), method_text(method)) for method in self._methods if method.id == chosen]


class RemoveSavedMethod(Action[AccountHolder]):
    """Have a provider forget a saved payment method."""

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
        """Say so."""
        return Report(
            text=_("%(provider)s has forgotten the payment method %(id)s.")
            % {"provider": provider_name(row.provider_id), "id": values["method_id"]}
        )


def method_text(method: SavedPaymentMethod) -> str:
    """Return what tells a saved payment method from others, and nothing more of it."""
    digits = isolated(f"•••• {method.last4}") if method.last4 else ""
    expires = _("until %(month)s") % {"month": isolated(method.expires)} if method.expires else ""
    return " ".join(part for part in (method.brand or method.type, digits, expires) if part)


def keeps_methods(row: AccountHolder) -> bool:
    """Return whether a row is an account at a provider that keeps saved payment methods today."""
    return row.provider_reference is not None and isinstance(
        plugin_of(row.provider_id), AccountHolderProvider
    )


ACCOUNT_HOLDER_ACTIONS: Final = (RemoveSavedMethod(),)
