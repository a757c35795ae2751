"""PayPal's own pages, as its merchants see them."""

from __future__ import annotations

import re
from typing import Final

from payments.providers.paypal.options import PayPalOptions

LIVE_SITE: Final = "https://www.paypal.com"
SANDBOX_SITE: Final = "https://www.sandbox.paypal.com"

_TRANSACTION: Final = re.compile(r"[0-9A-Z]{1,64}")


def transaction_url(transaction_id: str, options: PayPalOptions) -> str:
    """Return PayPal's page of a capture or refund; nothing for what has none, or where the API isn't PayPal's own.

    PayPal documents no such address. This one, with the id of a capture or refund, is where WooCommerce's plug-in for
    PayPal leads merchants (`modules/ppcp-wc-gateway/services.php` in woocommerce/woocommerce-paypal-payments, read in
    November 2026). PayPal lists transactions: the id of an order is none.
    """
    if options.is_elsewhere or not _TRANSACTION.fullmatch(transaction_id):
        return ""
    site = LIVE_SITE if options.livemode else SANDBOX_SITE
    return f"{site}/cgi-bin/webscr?cmd=_view-a-trans&id={transaction_id}"
