"""The forms of the confirmation pages."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Final

from django import forms
from django.utils import formats
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from payments.exceptions import PaymentError
from payments.models import PaymentSession, RefundReason
from payments.money import display_amount, exponent, format_amount, is_known, parse_amount
from payments.redaction import has_card_number
from payments.services.operations import KINDS_WITH_AMOUNT

MAX_NOTE: Final = 2000
MAX_VERSION: Final = 64
"""How long what is sent back as a version may be; a version itself is shorter."""
_GROUPED: Final = 3


class SecondWordField(forms.BooleanField):
    """A tick that confirms something unusual; it is shown after a refusal with one of `codes`."""

    widget = forms.HiddenInput

    def __init__(self, *, codes: Collection[str], **kwargs: Any) -> None:
        self.codes = codes
        super().__init__(required=False, **kwargs)


class ActionForm(forms.Form):
    """The base of all forms: the version of the row that the page showed, and where to go afterwards.

    `summarized` are the fields whose values are repeated before the action is taken.
    """

    summarized: ClassVar[tuple[str, ...]] = ()

    version = forms.CharField(widget=forms.HiddenInput, max_length=MAX_VERSION)
    next = forms.CharField(widget=forms.HiddenInput, required=False, max_length=2000)

    def __init__(self, *args: Any, row: Any = None, **kwargs: Any) -> None:
        self.row = row
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for name, field in self.fields.items():
            if isinstance(field, SecondWordField) and self.data.get(name):
                self.show_tick(name)

    @property
    def is_asking(self) -> bool:
        """Whether there is something to fill in, and so something to look over before it is done."""
        return bool(self.visible_fields())

    @property
    def values(self) -> dict[str, Any]:
        """What was filled in, as the action takes it."""
        names = set(self.fields) - {"version", "next"}
        return {name: self.cleaned_data.get(name) for name in names}

    def take_refusal(self, code: str) -> None:
        """Ask for a second word, which a tick stands for, where the services want one before they act."""
        for name, field in self.fields.items():
            if isinstance(field, SecondWordField) and code in field.codes:
                self.show_tick(name)

    def show_tick(self, name: str) -> None:
        """Show a tick that isn't asked for until it is needed."""
        self.fields[name].widget = forms.CheckboxInput(attrs={"class": "payments-tick"})

    def summary(self) -> list[tuple[str | Promise, str]]:
        """Return the labels and values of what was filled in, to be looked over."""
        fields = [
            (self.fields[name], self.cleaned_data.get(name))
            for name in self.summarized
            if name in self.fields
        ]
        return [(field.label or "", _text(field, value)) for field, value in fields if value]


class AmountField(forms.Field):
    """An amount as people of the active language write it; what could mean two amounts is refused."""

    widget = forms.TextInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.currency_code = ""

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Bring up the digits on a phone."""
        attributes: dict[str, Any] = {
            **super().widget_attrs(widget),
            "inputmode": "decimal",
            "autocomplete": "off",
            "class": "payments-amount-input",
            "dir": "ltr",
        }
        return attributes

    def prepare_value(self, value: Any) -> Any:
        """Write an amount as it may be typed."""
        if isinstance(value, Decimal):
            return format_amount(value, self.currency_code).replace(".", _decimal_separator())
        return value

    def to_python(self, value: Any) -> Decimal | None:
        """Return the exact amount."""
        text = str(value or "").strip()
        if not text:
            return None
        try:
            return parse_amount(self._plain(text), self.currency_code)
        except PaymentError as error:
            raise forms.ValidationError(error.message, code=error.code) from error

    def _plain(self, text: str) -> str:
        separator = _decimal_separator()
        if re.fullmatch(r"[-\u2212+].*", text):
            raise forms.ValidationError(
                _("Write the amount without a sign: it has to be more than zero."), code="signed"
            )
        if not re.search(r"\d", text):
            raise forms.ValidationError(
                _("Write the amount in digits, like %(example)s."),
                code="not_a_number",
                params={"example": self.prepare_value(Decimal(1234))},
            )
        found = re.fullmatch(r"(\d{1,20})(?:([.,\u066b])(\d{1,20}))?", text)
        if found is not None and found[2] == separator and len(found[3]) > _digits(self.currency_code):
            raise forms.ValidationError(
                _(
                    "An amount in %(currency)s has at most %(count)s decimals. Write it without thousands separators, "
                    "like %(example)s."
                ),
                code="too_many_decimals",
                params={
                    "currency": self.currency_code.upper(),
                    "count": _digits(self.currency_code),
                    "example": self.prepare_value(Decimal(1234)),
                },
            )
        if found is None or not self._is_certain(found, separator):
            raise forms.ValidationError(
                _("Write the amount without thousands separators, like %(example)s."),
                code="ambiguous",
                params={"example": self.prepare_value(Decimal(1234))},
            )
        whole, _sign, decimals = found.groups()
        digits = "".join(str(int(each)) for each in whole)
        return f"{digits}.{''.join(str(int(each)) for each in decimals)}" if decimals else digits

    def _is_certain(self, found: re.Match[str], separator: str) -> bool:
        """Return whether a separator can only be a decimal one: "1.000" is a thousand to some and one to others."""
        sign, decimals = found[2], found[3]
        if sign is None:
            return True
        return len(decimals) <= _digits(self.currency_code) and (
            sign == separator or len(decimals) != _GROUPED
        )


class AmountForm(ActionForm):
    """How much is to move."""

    amount = AmountField(label=_("Amount"))
    despite_unclear = SecondWordField(
        label=_("This is another one: do it although the one before is unclear."),
        codes=("possible_repetition",),
    )

    def __init__(self, *args: Any, row: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        _name_currency(self.fields["amount"], row.currency_code)


class NoteField(forms.CharField):
    """A remark; one that contains a card number is refused."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", MAX_NOTE)
        super().__init__(**kwargs)

    def clean(self, value: Any) -> Any:
        """Refuse card numbers: they must never be kept."""
        text = super().clean(value)
        if has_card_number(str(text)):
            raise forms.ValidationError(
                _("This looks like a card number, which must not be kept here."), code="card_data"
            )
        return text


class RefundForm(AmountForm):
    """How much is to be refunded, and why."""

    summarized = ("reason", "note")

    reason = forms.ModelChoiceField(
        label=_("Reason"),
        queryset=RefundReason.objects.all(),
        required=False,
        empty_label=_("No reason given"),
    )
    note = NoteField(
        label=_("Note"),
        required=False,
        help_text=_("For colleagues. The payer doesn't see it."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class MarkAsPaidForm(ActionForm):
    """How much was received when, under which reference, and for which installment."""

    summarized = ("received_at", "session", "reference", "note")

    amount = AmountField(label=_("Amount"))
    received_at = forms.DateField(
        label=_("Received on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )
    session = forms.ModelChoiceField(
        label=_("For"),
        queryset=PaymentSession.objects.none(),
        required=False,
        empty_label=_("What is open"),
        help_text=_("An installment that was paid so is canceled; all others stay."),
    )
    reference = NoteField(
        label=_("Reference"),
        required=False,
        max_length=255,
        help_text=_("Such as that of the bank transfer."),
    )
    note = NoteField(label=_("Note"), required=False, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, *args: Any, row: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        _name_currency(self.fields["amount"], row.currency_code)
        installments = row.sessions.unauthorized().filter(installment__isnull=False)
        if not installments.exists():
            del self.fields["session"]
            return
        # Which amount is meant depends on what is chosen, so none is filled in.
        self.initial.pop("amount", None)
        self.fields["amount"].required = False
        self.fields["amount"].help_text = _("Left empty, it is all of what is chosen below.")
        field = self.fields["session"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - declared above
        field.queryset = installments.select_related("collection").order_by("due_at", "id")
        field.label_from_instance = _installment_label  # type: ignore[assignment,method-assign]


class EvidenceField(NoteField):
    """Where an operator's finding can be looked up."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("Evidence"),
            required=False,
            max_length=500,
            help_text=_("For example the number of a case, or where a document is kept."),
            **kwargs,
        )


class AcknowledgeForm(ActionForm):
    """What an operator knows about a report."""

    summarized = ("reason", "evidence")

    reason = NoteField(
        label=_("What do you know of it?"),
        help_text=_("For example: the customer was told. It stays in the history."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    evidence = EvidenceField()


class ResolveForm(ActionForm):
    """What an operator found out, with which amount, and how they know."""

    summarized = ("reason", "evidence", "provider_reference")

    YES: ClassVar[str] = "yes"

    has_happened = forms.ChoiceField(
        label=_("Has it happened at the provider?"),
        choices=[(YES, _("Yes, it has happened")), ("no", _("No, it has not happened"))],
        widget=forms.RadioSelect,
    )
    amount = AmountField(
        label=_("Amount"),
        required=False,
        help_text=_("If it has happened: how much has moved, which may be another amount than was asked."),
    )
    reason = NoteField(
        label=_("How do you know?"),
        help_text=_("For example: seen in the provider's dashboard. It stays in the history."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    evidence = EvidenceField()
    provider_reference = NoteField(
        label=_("Provider's reference"),
        required=False,
        max_length=255,
        help_text=_(
            "If it has happened: what the provider calls it. Later reports are then known to be about it."
        ),
    )

    accept_excess = SecondWordField(
        label=_("I have made sure that this is other money, and that the amount is right. Book it."),
        codes=("exceeds_possible", "possibly_booked"),
    )

    def __init__(self, *args: Any, row: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        if row.kind in KINDS_WITH_AMOUNT:
            _name_currency(self.fields["amount"], row.currency_code)
        else:
            del self.fields["amount"]

    def clean_has_happened(self) -> bool:
        """Return it as a truth value."""
        return bool(self.cleaned_data["has_happened"] == self.YES)


def _text(field: forms.Field, value: Any) -> str:
    if isinstance(field, forms.ModelChoiceField):
        return field.label_from_instance(value)
    return formats.date_format(value, "DATE_FORMAT") if isinstance(value, date) else str(value)


def _installment_label(session: PaymentSession) -> str:
    parts = {
        "number": session.installment,
        "amount": display_amount(session.amount, session.currency_code),
        "due": "" if session.due_at is None else formats.date_format(session.due_at, "DATE_FORMAT"),
    }
    return _("Installment %(number)s: %(amount)s, due %(due)s") % parts


def _name_currency(field: forms.Field, currency_code: str) -> None:
    assert isinstance(field, AmountField)  # noqa: S101 - declared above
    field.currency_code = currency_code
    field.label = _("Amount in %(currency)s") % {"currency": currency_code.upper()}


def _digits(currency_code: str) -> int:
    return exponent(currency_code) if is_known(currency_code) else 2


def _decimal_separator() -> str:
    return str(formats.get_format("DECIMAL_SEPARATOR"))
