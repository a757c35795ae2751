"""What a visitor may send to the shop."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class ContactForm(forms.Form):
    """Ask a guest where to write to."""

    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "placeholder": "you@example.com"}),
    )


class QuantityForm(forms.Form):
    """Ask how many of a product are wanted."""

    quantity = forms.IntegerField(min_value=0, max_value=20)
