"""The statuses and other closed lists that models, providers and services share.

A *movement* is a capture or a refund. The transition methods of the models connect the statuses.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class CollectionStatus(models.TextChoices):
    """The status of a collection, derived from its payments."""

    NOT_PAID = "not_paid", _("Not paid")
    AWAITING = "awaiting", _("Awaiting authorization")
    PARTIALLY_AUTHORIZED = "partially_authorized", _("Partially authorized")
    AUTHORIZED = "authorized", _("Authorized")
    PARTIALLY_CAPTURED = "partially_captured", _("Partially captured")
    COMPLETED = "completed", _("Completed")
    CANCELED = "canceled", _("Canceled")


class SessionStatus(models.TextChoices):
    """The status of one amount to be authorized."""

    PENDING = "pending", _("Pending")
    REQUIRES_MORE = "requires_more", _("Waiting for the customer (3-D Secure)")
    AUTHORIZED = "authorized", _("Authorized")
    ERROR = "error", _("Error")
    CANCELED = "canceled", _("Canceled")


class PaymentStatus(models.TextChoices):
    """The status of an authorized amount, derived from its captures and refunds."""

    AUTHORIZED = "authorized", _("Authorized")
    PARTIALLY_CAPTURED = "partially_captured", _("Partially captured")
    CAPTURED = "captured", _("Captured")
    PARTIALLY_REFUNDED = "partially_refunded", _("Partially refunded")
    REFUNDED = "refunded", _("Refunded")
    CANCELED = "canceled", _("Canceled")


class MovementStatus(models.TextChoices):
    """The status of one capture or refund; a pending one reserves its amount."""

    PENDING = "pending", _("Pending")
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")


class OperationStatus(models.TextChoices):
    """The status of one intended call to a provider: what is known of its outcome."""

    PROCESSING = "processing", _("Processing")
    PENDING = "pending", _("Pending at the provider")
    UNKNOWN = "unknown", _("Outcome unknown")
    ATTENTION = "attention", _("Needs attention")
    SUCCEEDED = "succeeded", _("Succeeded")
    DECLINED = "declined", _("Declined")
    NOT_SENT = "not_sent", _("Not sent")


OPEN_OPERATION_STATUSES = frozenset(
    {
        OperationStatus.PROCESSING,
        OperationStatus.PENDING,
        OperationStatus.UNKNOWN,
        OperationStatus.ATTENTION,
    }
)
"""The statuses of an operation that may still stand for money, so that it keeps its reservation and its target."""


class OperationKind(models.TextChoices):
    """The kinds of requests to a provider; `sync` stands for a report that no request of ours caused."""

    INITIATE = "initiate", _("Initiate")
    UPDATE = "update", _("Update")
    AUTHORIZE = "authorize", _("Authorize")
    CAPTURE = "capture", _("Capture")
    REFUND = "refund", _("Refund")
    CANCEL = "cancel", _("Cancel")
    SYNC = "sync", _("Provider's report")


class Outcome(models.TextChoices):
    """The outcomes of a call to a provider; anything that isn't certain is `unknown`."""

    SUCCEEDED = "succeeded", _("Succeeded")
    PENDING = "pending", _("Pending")
    DECLINED = "declined", _("Declined")
    NOT_SENT = "not_sent", _("Not sent")
    UNKNOWN = "unknown", _("Unknown")


class EventSource(models.TextChoices):
    """The origin of a change."""

    SHOP = "shop", _("Shop")
    STOREFRONT = "storefront", _("Storefront")
    STAFF = "staff", _("Staff API")
    ADMIN = "admin", _("Admin")
    WEBHOOK = "webhook", _("Webhook")
    RECONCILER = "reconciler", _("Reconciler")
    PROVIDER = "provider", _("Found at the provider")
    SYSTEM = "system", _("System")


class MovementKind(models.TextChoices):
    """The two directions in which money moves."""

    CAPTURE = "capture", _("Capture")
    REFUND = "refund", _("Refund")


class WebhookEventStatus(models.TextChoices):
    """The status of a stored provider event."""

    RECEIVED = "received", _("Received")
    DEFERRED = "deferred", _("Deferred")
    APPLIED = "applied", _("Applied")
    IGNORED = "ignored", _("Ignored")
    FAILED = "failed", _("Failed")


class AttentionReason(models.TextChoices):
    """Why an operation needs attention: the books can't hold a provider's report, or its outcome can't be found out."""

    NOT_FOUND_AFTER_KEY_WINDOW = (
        "not_found_after_key_window",
        _("The provider doesn't know of it, and its key no longer protects"),
    )
    UNRESOLVED = "unresolved", _("The provider gave no usable answer")
    OVERTAKEN = "overtaken", _("Something else has happened meanwhile, so it isn't sent again")
    STILL_PENDING = "still_pending", _("The provider has left it pending")
    PROVIDER_NOT_CONFIGURED = "provider_not_configured", _("The provider has left the settings")
    CURRENCY_MISMATCH = "currency_mismatch", _("The provider reports another currency")
    AUTHORIZED_AMOUNT_MISMATCH = (
        "authorized_amount_mismatch",
        _("Another amount was authorized than was asked"),
    )
    CAPTURE_AMOUNT_MISMATCH = "capture_amount_mismatch", _("Another amount was captured than was asked")
    REFUND_AMOUNT_MISMATCH = "refund_amount_mismatch", _("Another amount was refunded than was asked")
    UPDATE_MISMATCH = "update_mismatch", _("The session has another amount than was asked")
    IMPOSSIBLE_AMOUNT = "impossible_amount", _("The provider reports an impossible amount")
    LATE_AUTHORIZATION = "late_authorization", _("Authorized after it had been canceled")
    AUTHORIZED_MORE_THAN_DUE = "authorized_more_than_due", _("More is held than is due")
    CAPTURED_MORE_THAN_AUTHORIZED = (
        "captured_more_than_authorized",
        _("More was captured than was authorized"),
    )
    CAPTURED_AFTER_RELEASE = "captured_after_release", _("Money was captured that had been released")
    CAPTURE_FAILED_LATE = "capture_failed_late", _("A capture that had succeeded has failed")
    REFUND_FAILED_LATE = "refund_failed_late", _("A refund that had succeeded has failed")
    REFUNDED_MORE_THAN_CAPTURED = "refunded_more_than_captured", _("More was refunded than was captured")
    REFUNDED_WHAT_WAS_CHARGED_BACK = (
        "refunded_what_was_charged_back",
        _("Money was refunded that the payer's bank had taken back"),
    )
    CHARGED_BACK = "charged_back", _("The payer's bank took money back")
    REINSTATED = "reinstated", _("Charged-back money came back, and a later payment is held too")
    CHARGED_BACK_AGAIN = "charged_back_again", _("What had come back after a dispute was taken again")
    CAPTURE_WITHOUT_REFERENCE = (
        "capture_without_reference",
        _("A capture was reported that can't be told from others"),
    )
    REFUND_WITHOUT_REFERENCE = (
        "refund_without_reference",
        _("A refund was reported that can't be told from others"),
    )
    POSSIBLY_BOOKED = "possibly_booked", _("The books may have this already, under another reference")
    AUTHORIZATION_NOT_CONFIRMED = (
        "authorization_not_confirmed",
        _("A person has booked an authorization of which the provider doesn't know"),
    )
    CAPTURE_NOT_CONFIRMED = (
        "capture_not_confirmed",
        _("A person has booked more captures than the provider reports"),
    )
    REFUND_NOT_CONFIRMED = (
        "refund_not_confirmed",
        _("A person has booked more refunds than the provider reports"),
    )
    REFERENCE_REUSED = "reference_reused", _("The provider's reference already belongs to another payment")
    REFERENCE_MISMATCH = "reference_mismatch", _("The report is about another payment at the provider")
