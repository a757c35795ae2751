"""Payment collections, for operators."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, TypedDict

from django.contrib.auth import get_user_model
from django.db import DataError
from django.db.models import Model, Prefetch, QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from payments import services
from payments.api.serializers import (
    AmountField,
    EnumField,
    InputSerializer,
    MomentField,
    MomentInputField,
    ObjectField,
    UserKeyField,
    find_row,
    get_row,
)
from payments.api.staff import filters
from payments.api.staff.payments import PaymentSerializer
from payments.api.staff.sessions import SessionSerializer
from payments.api.staff.views import MoneyListMixin, PrivateDataSerializer, StaffView
from payments.api.views import run_verb
from payments.conf import payable_models
from payments.exceptions import AmountError, NotFoundError
from payments.ids import MAX_LENGTH
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.money import ZERO
from payments.services import reading
from payments.services.idempotency import reconnecting
from payments.services.search import Search
from payments.states import OPEN_OPERATION_STATUSES, CollectionStatus, OperationKind, OperationStatus

MAX_KEY = 255
MAX_NOTE = 2000

_UNDONE = (OperationStatus.DECLINED, OperationStatus.NOT_SENT)


class NamedPayable(TypedDict):
    """A row of the shop: its model, such as `shop.order`, and its key."""

    type: str
    id: str


class CollectionSerializer(PrivateDataSerializer):
    """A collection with its sessions and payments, as operators see it."""

    private = {"payment_sessions": "view_paymentsession", "payments": "view_payment"}

    id = serializers.CharField(read_only=True)
    status = EnumField(CollectionStatus)
    currency_code = serializers.CharField(read_only=True)
    amount = AmountField(read_only=True)
    authorized_amount = AmountField(read_only=True)
    captured_amount = AmountField(read_only=True)
    refunded_amount = AmountField(read_only=True)
    charged_back_amount = AmountField(read_only=True)
    payable = serializers.SerializerMethodField()
    customer_id = UserKeyField(allow_null=True)
    description = serializers.CharField(read_only=True)
    metadata = ObjectField(read_only=True)
    payment_sessions = SessionSerializer(source="sessions", many=True, read_only=True)
    payments = PaymentSerializer(many=True, read_only=True)
    completed_at = MomentField(allow_null=True)
    canceled_at = MomentField(allow_null=True)
    created_at = MomentField()
    updated_at = MomentField()

    def get_payable(self, collection: PaymentCollection) -> NamedPayable | None:
        """Return what is paid, or None."""
        kind = collection.payable_type
        if kind is None:
            return None
        return NamedPayable(type=f"{kind.app_label}.{kind.model}", id=str(collection.payable_id))


class PayableInput(InputSerializer):
    """The row of the shop that is to be paid."""

    type = serializers.CharField(max_length=MAX_KEY)
    id = serializers.CharField(max_length=MAX_KEY)


class CreateCollectionInput(InputSerializer):
    """A new collection."""

    amount = AmountField()
    currency_code = serializers.CharField(max_length=MAX_KEY)
    payable = PayableInput(required=False, allow_null=True)
    customer_id = serializers.CharField(required=False, allow_null=True, max_length=MAX_KEY)
    description = serializers.CharField(required=False, allow_blank=True, max_length=MAX_NOTE)
    metadata = ObjectField(required=False)


class UpdateCollectionInput(InputSerializer):
    """A collection's new amount."""

    amount = AmountField()


class MarkAsPaidInput(InputSerializer):
    """Money that was received outside of any provider; without an amount, all that is left."""

    amount = AmountField(required=False)
    received_at = MomentInputField(required=False)
    reference = serializers.CharField(required=False, allow_blank=True, max_length=MAX_KEY)
    note = serializers.CharField(required=False, allow_blank=True, max_length=MAX_NOTE)
    payment_session_id = serializers.CharField(required=False, max_length=MAX_LENGTH)


def collection_rows() -> QuerySet[PaymentCollection]:
    """Return collections with what their output needs."""
    sessions: Any = reading.with_progress(
        PaymentSession.objects.select_related("authorized_payment").order_by("created_at", "id")
    )
    payments: Any = Payment.objects.prefetch_related(*reading.PARTS).order_by("created_at", "id")
    return PaymentCollection.objects.select_related("payable_type").prefetch_related(
        Prefetch("sessions", queryset=sessions), Prefetch("payments", queryset=payments)
    )


class PaymentCollectionsView(MoneyListMixin):
    """The list of collections, and new ones."""

    permissions = {"GET": "view_paymentcollection", "POST": "add_paymentcollection"}
    bodies = {"POST": CreateCollectionInput}
    statuses = {"POST": (201,)}
    calling_methods = frozenset()
    output = CollectionSerializer
    conditions = {
        "status": filters.OneOf("status", CollectionStatus),
        "provider": filters.RelatedRow(path="collection", model=PaymentSession, column="provider"),
        "currency_code": filters.currency("currency_code"),
        "payable": filters.payable(),
        "customer": filters.customer("customer"),
        "provider_reference": filters.RelatedRow(
            path="collection", model=PaymentSession, column="provider_reference"
        ),
        **filters.amounts(),
        **filters.created(),
    }
    search = Search(
        ids={
            "pay_col": "id",
            "payses": "sessions__id",
            "pay": "payments__id",
            "payop": "operations__id",
            "capt": "payments__captures__id",
            "ref": "payments__refunds__id",
        },
        exact=("payable_id", "sessions__provider_reference", "payments__provider_reference"),
        customer="customer",
    )

    def rows(self) -> QuerySet[PaymentCollection]:
        """Return all collections."""
        return collection_rows()

    def post(self, request: Request) -> Response:
        """Create a collection."""
        values = self.read()
        collection = services.create_payment_collection(
            amount=values["amount"],
            currency_code=values["currency_code"],
            payable=_payable(values.get("payable"), self.actor),
            customer=_customer(values.get("customer_id")),
            description=values.get("description", ""),
            metadata=values.get("metadata"),
            **self.origin(),
        )
        [body] = self.render(get_row(collection_rows(), collection.pk))
        return Response(body, status=201)


class CollectionBaseView(StaffView):
    """A view of one collection, which runs verbs on it."""

    output = CollectionSerializer
    statuses = {"POST": (200, 202), "PATCH": (200, 202)}

    def run(self, verb: Callable[..., Any], collection: PaymentCollection, **values: Any) -> Response:
        """Answer with the collection after a verb: 200, or 202 where the outcome isn't known yet.

        Where an earlier try of the request left nothing open, running the verb again goes on with what it didn't do.
        """
        left_open = self._left_open()
        if left_open is None:
            left_open = run_verb(partial(verb, collection, **values, **self.origin())).open_operation
        return self.answer(reconnecting(lambda: get_row(collection_rows(), collection.pk)), left_open)

    def _left_open(self) -> str | None:
        """Return the id of the newest operation that an earlier try of the request left open, or None."""
        if self.earlier is None:
            return None
        rows = self.of_all_tries.filter(status__in=OPEN_OPERATION_STATUSES)
        return rows.order_by("-created_at", "-id").values_list("pk", flat=True).first()


class PaymentCollectionView(CollectionBaseView):
    """A collection, and its amount."""

    permissions = {"GET": "view_paymentcollection", "PATCH": "change_paymentcollection"}
    bodies = {"PATCH": UpdateCollectionInput}

    def get(self, request: Request, collection_id: str) -> Response:
        """Answer with the collection."""
        return self.answer(get_row(collection_rows(), collection_id))

    def patch(self, request: Request, collection_id: str) -> Response:
        """Change what is to be paid."""
        collection = get_row(PaymentCollection.objects.all(), collection_id)
        values = self.read(currency_code=collection.currency_code)
        return self.run(services.update_payment_collection, collection, **values)


class CancelCollectionView(CollectionBaseView):
    """The cancelation of a collection."""

    permissions = {"POST": "cancel_collection"}
    to_view = ("view_paymentcollection",)

    def post(self, request: Request, collection_id: str) -> Response:
        """Cancel its sessions and release what its payments hold."""
        collection = get_row(PaymentCollection.objects.all(), collection_id)
        self.read()
        return self.run(services.cancel_payment_collection, collection)


class MarkAsPaidView(CollectionBaseView):
    """The receipt of money from outside of any provider."""

    permissions = {"POST": "mark_as_paid"}
    bodies = {"POST": MarkAsPaidInput}
    to_view = ("view_paymentcollection",)

    def post(self, request: Request, collection_id: str) -> Response:
        """Record that what is left was paid outside of any provider."""
        collection = get_row(PaymentCollection.objects.all(), collection_id)
        values = self.read(currency_code=collection.currency_code)
        session_id = values.pop("payment_session_id", None)
        if session_id is not None:
            values["session"] = _session(collection, session_id)
        return self.run(self._pay, collection, **values)

    def _pay(self, collection: PaymentCollection, **values: Any) -> None:
        left = values if self.earlier is None else self._left(**values)
        if left is None:
            return
        try:
            services.mark_payment_collection_as_paid(collection, **left)
        except AmountError as error:
            # Earlier tries of this very request may have received all; what others have paid isn't received by it.
            is_done = left.get("amount") is None and self._taken().exists()
            if error.code != "nothing_left" or not is_done:
                raise

    def _taken(self) -> QuerySet[PaymentOperation]:
        """Return the captures by which tries of the request have received money, or may have."""
        return self.of_all_tries.filter(kind=OperationKind.CAPTURE).exclude(status__in=_UNDONE)

    def _left(
        self,
        *,
        amount: Decimal | None = None,
        session: PaymentSession | None = None,
        **values: Any,
    ) -> dict[str, Any] | None:
        """Return what earlier tries of the request haven't received yet, or None: nothing is received twice."""
        mine, taken = self.of_all_tries, self._taken()
        opened = mine.filter(kind=OperationKind.INITIATE)
        if taken.filter(session__in=opened.values("session")).exists():
            return None  # That was the last step.
        if session is not None and not (opened.exists() or mine.filter(session=session).exists()):
            return {"amount": amount, "session": session, **values}
        if amount is None and session is None and (begun := opened.order_by("created_at", "id").last()):
            # It is for all that was left then, besides what was captured before.
            return {"amount": begun.amount, **values}
        if session is not None and amount is None:
            amount = session.amount
        if amount is not None:
            amount -= sum((operation.amount for operation in taken), ZERO)
        return None if amount == ZERO else {"amount": amount, **values}


def _session(collection: PaymentCollection, session_id: str) -> PaymentSession:
    session = find_row(collection.sessions.select_related("collection"), session_id)
    if session is None:
        raise NotFoundError(
            _("The collection has no session with this id."),
            code="unknown_session",
            field="payment_session_id",
        )
    return session


def _payable(named: dict[str, str] | None, operator: Any) -> Model | None:
    """Return the row that an operator names; what they may not name is refused as what isn't there is."""
    if named is None:
        return None
    try:
        model = filters.model_named(named["type"])
        key = filters.key_of(model, named["id"])
        row = model._base_manager.filter(pk=key).first() if _may_name(operator, model) else None
    except (ValueError, TypeError, OverflowError, DataError):
        row = None
    if row is None:
        raise NotFoundError(
            _("There is no such row; name a model and a key, such as shop.order and 12."),
            code="unknown_payable",
            field="payable",
        )
    return row


def _may_name(operator: Any, model: type[Model]) -> bool:
    """Return whether an operator may name rows of a model: one of the `PAYABLE_MODELS`, or else one they may view."""
    labels = payable_models()
    if labels is not None:
        return model._meta.label_lower in {label.lower() for label in labels}
    return bool(operator.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"))


def _customer(key: str | None) -> Any:
    if key is None:
        return None
    users = get_user_model()
    try:
        user = users._default_manager.filter(pk=filters.key_of(users, key)).first()
    except ValueError:
        user = None
    if user is None:
        raise NotFoundError(
            _("There is no user with this key."), code="unknown_customer", field="customer_id"
        )
    return user
