"""The verbs: the only room where rows and providers meet.

Every verb that calls a provider goes claim → call → record, and commits its claim before the call: after a crash, the
claim shows that something may have been sent.

What a shop calls is imported from here. Four rooms below are public as well, for pages and APIs of one's own:
`operations` and `sync` tell what became of a call, `idempotency` answers a repeated request, and `search` finds rows.
`background` is for commands and task queues. All else is private, and so is every name with a leading underscore.
"""

from __future__ import annotations

from payments.services.account_holders import (
    PaymentMethodSetup,
    charge_saved_payment_method,
    create_account_holder,
    find_account_holder,
    keeps_saved_payment_methods,
    list_saved_payment_methods,
    remove_saved_payment_method,
    start_adding_payment_method,
)
from payments.services.background.expiry import sweep_expired
from payments.services.background.inbox import process_due_events, receive_webhook, replay_webhook_event
from payments.services.background.installments import charge_due_installments, notify_due_installments
from payments.services.background.reconciler import reconcile_due
from payments.services.collections import (
    cancel_payment_collection,
    check_collection_cancelation,
    create_payment_collection,
    update_payment_collection,
)
from payments.services.erasure import Erasure, erase_abandoned_accounts, erase_customer
from payments.services.installments import create_installment_plan
from payments.services.ledger.facts import record_fact
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.outbox import publish_due
from payments.services.ledger.payers import is_for_payers, is_from_anothers_account, is_of_former_customer
from payments.services.operations import check_operation, correct_operation, resolve_operation
from payments.services.payables import (
    ResolvedPayable,
    is_collection_of,
    is_held_for,
    open_payment_collection,
    payment_context,
)
from payments.services.payments import (
    Quote,
    cancel_payment,
    capture_payment,
    quote_capture,
    quote_refund,
    quote_release,
    refund_payment,
)
from payments.services.providers import (
    disable_provider,
    enable_provider,
    list_offered_providers,
    list_providers,
)
from payments.services.receipts import check_receipt, mark_payment_collection_as_paid
from payments.services.sessions import (
    authorize_payment_session,
    cancel_payment_session,
    check_session_cancelation,
    create_payment_session,
    update_payment_session,
)
from payments.services.sync import sync_payment_session

__all__ = [
    "Actor",
    "Erasure",
    "Origin",
    "PaymentMethodSetup",
    "Quote",
    "ResolvedPayable",
    "authorize_payment_session",
    "cancel_payment",
    "cancel_payment_collection",
    "cancel_payment_session",
    "capture_payment",
    "charge_due_installments",
    "charge_saved_payment_method",
    "check_collection_cancelation",
    "check_operation",
    "check_receipt",
    "check_session_cancelation",
    "correct_operation",
    "create_account_holder",
    "create_installment_plan",
    "create_payment_collection",
    "create_payment_session",
    "disable_provider",
    "enable_provider",
    "erase_abandoned_accounts",
    "erase_customer",
    "find_account_holder",
    "is_collection_of",
    "is_for_payers",
    "is_from_anothers_account",
    "is_held_for",
    "is_of_former_customer",
    "keeps_saved_payment_methods",
    "list_offered_providers",
    "list_providers",
    "list_saved_payment_methods",
    "mark_payment_collection_as_paid",
    "notify_due_installments",
    "open_payment_collection",
    "payment_context",
    "process_due_events",
    "publish_due",
    "quote_capture",
    "quote_refund",
    "quote_release",
    "receive_webhook",
    "reconcile_due",
    "record_fact",
    "refund_payment",
    "remove_saved_payment_method",
    "replay_webhook_event",
    "resolve_operation",
    "start_adding_payment_method",
    "sweep_expired",
    "sync_payment_session",
    "update_payment_collection",
    "update_payment_session",
]
