"""A guest pays, and an operator captures and refunds, with the client that was generated from docs/openapi.yaml."""

from __future__ import annotations

import json
import sys

from payments_client import AuthenticatedClient, Client
from payments_client.api.staff import (
    staff_capture_payment,
    staff_get_payment_collection,
    staff_refund_payment,
)
from payments_client.api.storefront import (
    authorize_payment_session,
    create_payment_session,
    get_payment_collection,
    open_payment_collection,
)
from payments_client.models import (
    AuthorizeInput,
    CaptureInput,
    CreateSessionInput,
    OpenCollectionInput,
    RefundInput,
)


def main_job(site: str, reference: str, session: str, csrf: str) -> dict[str, object]:
    """Do it, and return what was seen."""
    url = f"{site}/payments"
    opened = open_payment_collection.sync(
        client=Client(base_url=url), body=OpenCollectionInput(reference=reference)
    )

    guest = AuthenticatedClient(
        base_url=url, token=opened.client_secret, prefix="", auth_header_name="Payment-Client-Secret"
    )
    created = create_payment_session.sync(
        opened.id, client=guest, body=CreateSessionInput(provider_id="system"), idempotency_key="press-1"
    )
    authorized = authorize_payment_session.sync(created.id, client=guest, body=AuthorizeInput())
    seen = get_payment_collection.sync(opened.id, client=guest)

    operator = AuthenticatedClient(
        base_url=url,
        token=csrf,
        prefix="",
        auth_header_name="X-CSRFToken",
        cookies={"sessionid": session, "csrftoken": csrf},
    )
    payment = staff_get_payment_collection.sync(opened.id, client=operator).payments[0].id
    captured = staff_capture_payment.sync(payment, client=operator, body=CaptureInput(amount="60.00"))
    refund = RefundInput(amount="15.00", note="A dent in the lid.")
    refunded = staff_refund_payment.sync(payment, client=operator, body=refund)
    error = staff_refund_payment.sync(payment, client=operator, body=RefundInput(amount="100.00"))

    return {
        "authorized": [authorized.status.value, authorized.in_progress],
        "seen": [seen.status.value, seen.authorized_amount],
        "captured": [captured.status.value, captured.captured_amount],
        "refunded": [refunded.refunded_amount, refunded.refunds[0].note],
        "refused": [error.type_.value, error.errors[0].field],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main_job(*sys.argv[1:])))
