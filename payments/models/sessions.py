"""The payment session: one amount to be authorized by one provider.

Its two data fields are the security boundary: `data` may be published, `provider_data` never leaves the server.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import CheckConstraint, Index, Q, UniqueConstraint
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from payments import ids
from payments.models.base import KeptQuerySet, RefusableModel, index_where_set, status_has, status_is_known
from payments.models.collections import PaymentCollection
from payments.models.fields import ANY_OTHER, KeyField, StatusField, transition
from payments.models.providers import PaymentProvider
from payments.money import ZERO, AmountField, display_amount
from payments.states import SessionStatus as Status

if TYPE_CHECKING:
    from payments.models.payments import Payment

UNAUTHORIZED_STATUSES: Final = frozenset({Status.PENDING, Status.REQUIRES_MORE, Status.ERROR})
"""The statuses of a session that may still become a payment."""


class PaymentSessionQuerySet(KeptQuerySet["PaymentSession"]):
    """Payment sessions."""

    def unauthorized(self) -> PaymentSessionQuerySet:
        """Select the sessions that may still become payments."""
        return self.filter(status__in=UNAUTHORIZED_STATUSES)


class PaymentSession(RefusableModel):
    """An amount to be authorized by one provider.

    `is_split` marks a session with an amount of its own; other sessions cover whatever is left. `data` is public: the
    provider sets it when the session is initiated, and the storefront reads it. `provider_data` is private.
    `initiated_at` is empty until the provider knows the session; an installment is initiated when it falls due.
    `is_automatic` marks an installment that is then charged off-session, with its customer's saved payment method.
    `is_by_payer` marks a session that a payer made; payers can't change or cancel the shop's sessions.
    """

    id = KeyField(_("id"), primary_key=True, default=ids.new_session_id, editable=False)
    collection = models.ForeignKey(
        PaymentCollection,
        verbose_name=_("collection"),
        on_delete=models.PROTECT,
        related_name="sessions",
        db_index=False,  # `payments_session_installment_unique` is one
    )
    provider = models.ForeignKey(
        PaymentProvider, verbose_name=_("provider"), on_delete=models.PROTECT, related_name="sessions"
    )
    status = StatusField(_("status"), choices=Status, default=Status.PENDING)
    amount = AmountField(_("amount"))
    is_split = models.BooleanField(_("split"), default=False)
    data = models.JSONField(_("data"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    provider_data = models.JSONField(_("provider data"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    provider_reference = KeyField(_("provider reference"), max_length=255, null=True, blank=True)
    context = models.JSONField(_("context"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    next_action = models.JSONField(_("next action"), null=True, blank=True, encoder=DjangoJSONEncoder)
    installment = models.PositiveSmallIntegerField(_("installment"), null=True, blank=True)
    due_at = models.DateTimeField(_("due at"), null=True, blank=True)
    is_automatic = models.BooleanField(_("charged by itself"), default=False)
    is_by_payer = models.BooleanField(_("made by the payer"), default=False)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    initiated_at = models.DateTimeField(_("initiated at"), null=True, blank=True)
    authorized_at = models.DateTimeField(_("authorized at"), null=True, blank=True)
    canceled_at = models.DateTimeField(_("canceled at"), null=True, blank=True)

    objects: ClassVar[PaymentSessionQuerySet] = PaymentSessionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("payment session")
        verbose_name_plural = _("payment sessions")
        ordering = ["-created_at", "-id"]
        constraints = [
            status_is_known("payments_session_status_known", Status),
            status_has(
                "payments_session_authorized_has_time",
                Q(authorized_at__isnull=False),
                Status.AUTHORIZED,
                either=[Status.CANCELED],
            ),
            status_has("payments_session_canceled_has_time", Q(canceled_at__isnull=False), Status.CANCELED),
            status_has(
                "payments_session_error_has_code", ~Q(error_code=""), Status.ERROR, either=[Status.CANCELED]
            ),
            CheckConstraint(condition=Q(amount__gt=0), name="payments_session_amount_positive"),
            UniqueConstraint(
                fields=["provider_reference", "provider"], name="payments_session_provider_reference_unique"
            ),
            UniqueConstraint(
                fields=["collection", "installment"], name="payments_session_installment_unique"
            ),
        ]
        indexes = [
            Index(fields=["status", "-created_at"], name="payments_ses_status_idx"),
            Index(fields=["amount"], name="payments_ses_amount_idx"),
            index_where_set("status", "expires_at", name="payments_ses_expiry_idx"),
            index_where_set("status", "due_at", name="payments_ses_due_idx"),
            Index(fields=["-created_at"], name="payments_ses_created_idx"),
        ]
        permissions = [
            ("authorize_session", _("Can authorize payment sessions")),
            ("cancel_session", _("Can cancel payment sessions")),
            ("sync_session", _("Can ask the provider about payment sessions")),
            ("view_provider_data", _("Can see private provider data")),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({display_amount(self.amount, self.currency_code)})"

    @property
    def currency_code(self) -> str:
        """The collection's currency, ISO 4217 in lower case."""
        return self.collection.currency_code

    @property
    def payment(self) -> Payment | None:
        """The session's payment, or None while the session isn't authorized."""
        return getattr(self, "authorized_payment", None)

    @property
    def is_held(self) -> bool:
        """Whether the session has a payment that no person has taken back since."""
        return self.payment is not None and not self.payment.is_taken_back

    @property
    def authorized_amount(self) -> Decimal:
        """What the provider has authorized and not released, in major units; the collection's sum adds these up."""
        payment = self.payment
        return ZERO if payment is None else payment.amount - payment.canceled_amount

    @property
    def is_unauthorized(self) -> bool:
        """Whether the session may still become a payment."""
        return self.status in UNAUTHORIZED_STATUSES

    def is_expired(self, now: datetime) -> bool:
        """Return whether the session has expired."""
        return self.expires_at is not None and self.expires_at <= now

    @transition(status, source=[Status.REQUIRES_MORE, Status.ERROR], target=Status.PENDING)
    def reopen(self) -> None:
        """Record that the session waits for authorization again, after a change or as another attempt is under way."""
        self.clear_error()
        self.next_action = None

    @transition(
        status, source=[Status.PENDING, Status.REQUIRES_MORE, Status.ERROR], target=Status.REQUIRES_MORE
    )
    def require_more(self) -> None:
        """Record that the payer has to do something first, such as entering a 3DS code."""
        self.clear_error()

    @transition(status, source=ANY_OTHER, target=Status.AUTHORIZED)
    def authorize(self) -> None:
        """Record that the amount is held; from `canceled` when the payer paid before the cancelation."""
        self.clear_error()
        self.next_action = None
        self.canceled_at = None

    @transition(status, source=[Status.PENDING, Status.REQUIRES_MORE, Status.ERROR], target=Status.ERROR)
    def fail(self, *, code: str, message: str | Promise) -> None:
        """Record that the authorization was refused; `message` may be shown to the payer, who may try again."""
        self.set_error(code, message)
        self.next_action = None

    @transition(status, source=ANY_OTHER, target=Status.CANCELED)
    def cancel(self) -> None:
        """Record that the session was abandoned, or its authorization released."""
        self.next_action = None
