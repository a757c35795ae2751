"""Telling a report of the authorization that is under way from one of an attempt before it.

A session may be authorized several times: after a refusal, or with the code that a bank has asked for. What is reported
late of the attempt before must not end the one that is open: then nobody would look after that any more.
"""

from __future__ import annotations

from payments.models import PaymentOperation, PaymentSession
from payments.providers import SessionFact
from payments.states import OperationKind, OperationStatus


def may_be_of_an_earlier_attempt(session: PaymentSession, fact: SessionFact, *ends: OperationStatus) -> bool:
    """Return whether a report, which answers no operation, may be of an attempt before the open one.

    `ends` are how an attempt ends of which a provider reports so. A report without a time tells how things stand, at a
    provider that has begun what it calls pending.
    """
    attempts = PaymentOperation.objects.filter(target_id=session.pk, kind=OperationKind.AUTHORIZE)
    current = attempts.open().order_by("-created_at", "-id").first()
    if current is None or not attempts.filter(status__in=ends).exists():
        return False
    if fact.occurred_at is not None:
        return bool(fact.occurred_at < current.created_at)
    return bool(current.status != OperationStatus.PENDING)
