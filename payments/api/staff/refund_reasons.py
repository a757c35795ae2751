"""Refund reasons: the shop's own words for why money went back."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from payments.api.serializers import InputSerializer, MomentField, ObjectField, OutputSerializer, get_row
from payments.api.staff import filters
from payments.api.staff.views import ListMixin, StaffView
from payments.exceptions import InputError, TransitionError
from payments.models import RefundReason
from payments.services.search import Search

MAX_LABEL = 255
MAX_DESCRIPTION = 2000


class RefundReasonSerializer(OutputSerializer):
    """A refund reason."""

    id = serializers.CharField(read_only=True)
    label = serializers.CharField(read_only=True)  # type: ignore[assignment]  # a declared field hides no attribute
    description = serializers.CharField(read_only=True)
    metadata = ObjectField(read_only=True)
    created_at = MomentField()
    updated_at = MomentField()


class RefundReasonInput(InputSerializer):
    """A whole refund reason."""

    label = serializers.CharField(max_length=MAX_LABEL)  # type: ignore[assignment]  # a declared field hides no attribute
    description = serializers.CharField(required=False, allow_blank=True, max_length=MAX_DESCRIPTION)
    metadata = ObjectField(required=False)


class RefundReasonChanges(RefundReasonInput):
    """Some of a refund reason."""

    label = serializers.CharField(required=False, max_length=MAX_LABEL)


class RefundReasonsView(ListMixin):
    """The list of refund reasons, and new ones."""

    permissions = {"GET": "view_refundreason", "POST": "add_refundreason"}
    bodies = {"POST": RefundReasonInput}
    statuses = {"POST": (201,)}
    output = RefundReasonSerializer
    conditions = filters.created()
    search = Search(ids={"refr": "id"}, exact=("label",))

    def rows(self) -> QuerySet[RefundReason]:
        """Return all refund reasons."""
        return RefundReason.objects.all()

    def post(self, request: Request) -> Response:
        """Create a refund reason."""
        reason = RefundReason(**self.read())
        _save(reason, force_insert=True)
        [body] = self.render(reason)
        return Response(body, status=201)


class RefundReasonView(StaffView):
    """A refund reason, which may be changed and deleted."""

    permissions = {
        "GET": "view_refundreason",
        "PUT": "change_refundreason",
        "PATCH": "change_refundreason",
        "DELETE": "delete_refundreason",
    }
    bodies = {"PUT": RefundReasonInput, "PATCH": RefundReasonChanges}
    output = RefundReasonSerializer

    def get(self, request: Request, reason_id: str) -> Response:
        """Answer with the refund reason."""
        return self.answer(_find(reason_id))

    def put(self, request: Request, reason_id: str) -> Response:
        """Replace it; what isn't given is empty afterwards."""
        reason = _find(reason_id)
        return self._change(reason, {"description": "", "metadata": {}} | self.read())

    def patch(self, request: Request, reason_id: str) -> Response:
        """Change what is given."""
        reason = _find(reason_id)
        values = self.read()
        if not values:
            raise InputError(_("Give something to change."), code="nothing_to_change")
        return self._change(reason, values)

    def delete(self, request: Request, reason_id: str) -> Response:
        """Delete it, unless a refund uses it."""
        reason = _find(reason_id)
        try:
            reason.delete()
        except (ProtectedError, IntegrityError) as error:
            raise TransitionError(
                _("A refund was made for this reason, so it stays."), code="refund_reason_in_use"
            ) from error
        return Response(status=204)

    def _change(self, reason: RefundReason, values: dict[str, Any]) -> Response:
        for name, value in values.items():
            setattr(reason, name, value)
        _save(reason, update_fields=[*values, "updated_at"])
        return self.answer(reason)


def _find(reason_id: str) -> RefundReason:
    return get_row(RefundReason.objects.all(), reason_id)


def _save(reason: RefundReason, **how: Any) -> None:
    try:
        with transaction.atomic(using=RefundReason.objects.db):
            reason.save(**how)
    except IntegrityError as error:
        raise InputError(
            _("There is a refund reason with this label already."), code="not_unique", field="label"
        ) from error
