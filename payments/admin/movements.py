"""What the pages of captures and of refunds have in common: both are one movement of money."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.badges import status_badge
from payments.admin.inspection import InspectionAdminMixin
from payments.admin.links import links_of, short_id
from payments.admin.panels import Alert, Panel, Summary, known_facts
from payments.admin.plugins import movement_reference_html
from payments.admin.tables import operation_table
from payments.admin.timelines import timeline_panel
from payments.admin.words import age, amount_html, amount_text, failure, lines, moment, quiet
from payments.models import Capture, Payment, PaymentCollection, Refund
from payments.states import MovementStatus

MOVEMENT_COLUMNS: Final = (
    "id_column",
    "status_column",
    "amount_column",
    "payment_column",
    "collection_column",
    "error_column",
    "provider_reference",
    "age_column",
)


class MovementAdminMixin(InspectionAdminMixin):
    """Show movements of money: how much, and whether it moved."""

    list_select_related: ClassVar[tuple[str, ...]] = ("payment__collection",)
    row_relations: ClassVar[tuple[str, ...]] = ("payment__collection",)
    row_deferred = ("payment__provider_data", "payment__metadata", "payment__collection__metadata")
    linked_by = ("payment", "payment__collection", "succeeded_at")
    ordering = ("-id",)  # ids rise with time, and have an index
    search_fields = ("id",)

    @admin.display(description=_("id"), ordering="id")
    def id_column(self, obj: Capture | Refund) -> SafeString:
        """Show the shortened id, and below it the provider."""
        return lines(short_id(obj.pk), quiet(self.provider_column(obj)))

    @admin.display(description=_("status"))
    def status_column(self, obj: Capture | Refund) -> SafeString:
        """Show the status."""
        return status_badge(obj.status, MovementStatus)

    @admin.display(description=_("amount"))
    def amount_column(self, obj: Capture | Refund) -> SafeString:
        """Show how much moved, or is to move."""
        return amount_html(obj.amount, obj.currency_code)

    @admin.display(description=_("payment"))
    def payment_column(self, obj: Capture | Refund) -> SafeString:
        """Show the payment."""
        return links_of(obj).to_id(Payment, obj.payment_id)

    @admin.display(description=_("collection"))
    def collection_column(self, obj: Capture | Refund) -> SafeString:
        """Show the collection."""
        return links_of(obj).to_id(PaymentCollection, obj.payment.collection_id)

    def provider_column(self, obj: Capture | Refund) -> str:
        """Show the provider."""
        return str(obj.payment.provider_id)

    @admin.display(description=_("error"))
    def error_column(self, obj: Capture | Refund) -> SafeString | None:
        """Show why it failed."""
        return failure(obj.error_code, obj.error_text) or None

    @admin.display(description=_("age"), ordering="-id")
    def age_column(self, obj: Capture | Refund) -> SafeString:
        """Show how long ago it was asked for."""
        return age(obj.created_at)

    def get_summary(self, request: HttpRequest, obj: Capture | Refund) -> Summary:
        """Say how much moved, and out of which payment."""
        reason = failure(obj.error_code, obj.error_text)
        return Summary(
            headline=amount_text(obj.amount, obj.currency_code),
            badges=(status_badge(obj.status, MovementStatus),),
            facts=known_facts(*self.facts(obj)),
            alerts=(Alert(text=reason),) if reason else (),
        )

    def get_panels(self, request: HttpRequest, obj: Capture | Refund) -> Iterable[Panel | None]:
        """Return the operations and the history."""
        links = self.links(request)
        lookup = {f"{obj._meta.model_name}__id__exact": obj.pk}
        yield operation_table(obj.operations.all(), links, obj.currency_code, **lookup)
        yield timeline_panel(obj.events.all(), obj.operations.all(), links, **lookup)

    def facts(self, obj: Capture | Refund) -> Iterable[tuple[str, str | SafeString | None]]:
        """Return what the summary tells besides the amount."""
        yield gettext("Collection"), self.collection_column(obj)
        yield gettext("Payment"), self.payment_column(obj)
        yield gettext("Provider"), self.provider_column(obj)
        yield gettext("Provider's reference"), movement_reference_html(self.provider_column(obj), obj)
        yield gettext("Requested"), moment(obj.created_at)
        yield gettext("Succeeded"), moment(obj.succeeded_at)
