"""The customer as the pages name them, whatever the project's user model looks like."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.utils.html import format_html
from django.utils.safestring import SafeString

from payments.admin.links import Links
from payments.admin.words import lines, quiet
from payments.users import email_of


def customer_html(customer: Any, links: Links) -> SafeString:
    """Return a customer's e-mail address and user name, linked to their page if this site has one."""
    if customer is None:
        return SafeString()
    name, email = customer.get_username(), email_of(customer)
    return lines(customer_link(customer, links), quiet(name) if email and name != email else "")


def customer_link(customer: Any, links: Links) -> SafeString:
    """Return a customer's e-mail address, or else user name, linked to their page if this site has one."""
    if customer is None:
        return SafeString()
    name, at, domain = str(email_of(customer) or customer.get_username()).partition("@")
    label = format_html("{}{}<wbr>{}", name, at, domain) if at else name
    return links.to(get_user_model(), customer.pk, label)
