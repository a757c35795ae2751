"""What follows when a payer has done their part at the provider's own place, and doesn't come back to the shop."""

from __future__ import annotations

import logging

from payments.exceptions import OperationInProgressError, PaymentError, ProviderUnavailableError
from payments.models import PaymentSession
from payments.providers import SessionFact
from payments.services.origins import Origin
from payments.services.sessions import authorize_payment_session

logger = logging.getLogger("payments.webhooks")


def authorize_approved(session: PaymentSession, fact: SessionFact, *, origin: Origin) -> None:
    """Authorize a session of which its provider reports that nothing else is missing.

    What comes of that is in the books, and the reconciler sees to an unknown outcome. A session that can't be
    authorized any more is left as it is. Raises ProviderUnavailableError and OperationInProgressError: it has to be
    tried again.
    """
    if not (fact.awaits_authorization and session.is_unauthorized):
        return
    try:
        authorize_payment_session(session, actor=origin.actor, source=origin.source)
    except (OperationInProgressError, ProviderUnavailableError):
        raise
    except PaymentError as error:
        logger.info("The approved session %s isn't authorized: %s", session.pk, error.code)
