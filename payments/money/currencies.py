"""The currencies of ISO 4217 that people pay with, and how many decimals each has.

Source: ISO 4217 list one ("current currency & funds code list"), kept by SIX Group on behalf of ISO, as published
on 2026-01-01 (https://www.six-group.com/en/products-services/financial-information/data-standards.html); compared
with pycountry 26.2.16 in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from django.utils.translation import gettext_lazy as _

from payments.exceptions import CurrencyError

CODE_LENGTH: Final = 3

_CODES_BY_EXPONENT: Final[dict[int, str]] = {
    0: "bif clp djf gnf isk jpy kmf krw pyg rwf ugx uyi vnd vuv xaf xof xpf",
    2: """
        aed afn all amd aoa ars aud awg azn bam bbd bdt bmd bnd bob bov brl bsd btn bwp byn bzd cad cdf che chf chw
        cny cop cou crc cup cve czk dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd gtq gyd hkd hnl htg huf
        idr ils inr irr jmd kes kgs khr kpw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mru mur mvr mwk
        mxn mxv myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sdg sek sgd shp
        sle sos srd ssp stn svc syp szl thb tjs tmt top try ttd twd tzs uah usd usn uyu uzs ved ves wst xcd xcg yer
        zar zmw zwg
    """,
    3: "bhd iqd jod kwd lyd omr tnd",
    4: "clf uyw",
}

EXPONENTS: Final[Mapping[str, int]] = MappingProxyType(
    {code: exponent for exponent, codes in _CODES_BY_EXPONENT.items() for code in codes.split()}
)
"""The number of decimals of each currency, by its code in lower case.

The decimals are ISO's. CLDR has those that people usually see: 0 for the Indonesian rupiah, which has 2.
14 of ISO's 178 codes are left out, since people don't pay with them: the 13 whose minor unit is "N.A." (metals, bond
market units, XDR, XSU, XUA, XTS, XXX), and XAD, the Arab Monetary Fund's unit of account.
"""


def normalize_currency(code: str, *, field: str = "currency_code") -> str:
    """Return an ISO 4217 code as it is stored: in lower case.

    `code` may be in any case, but must be one that ISO 4217 lists today and that people pay with. The error names
    `field` as the wrong argument.

    Raises `CurrencyError` with code `unknown_currency`.
    """
    if not isinstance(code, str):
        raise _unknown(repr(type(code).__name__), field)
    # `isascii` first: some letters, such as the Kelvin sign, turn into ASCII ones when lowered.
    if len(code) == CODE_LENGTH and code.isascii() and (lowered := code.lower()) in EXPONENTS:
        return lowered
    raise _unknown(repr(code[: CODE_LENGTH * 4]), field)


def exponent(code: str) -> int:
    """Return how many decimals a currency has: 2 for the euro, 0 for the yen, 3 for the Kuwaiti dinar.

    Raises `CurrencyError` if ISO 4217 doesn't list the code.
    """
    return EXPONENTS[normalize_currency(code)]


def is_known(code: str) -> bool:
    """Return whether `normalize_currency` accepts a code, in any case."""
    try:
        normalize_currency(code)
    except CurrencyError:
        return False
    return True


def _unknown(shown: str, field: str) -> CurrencyError:
    return CurrencyError(
        _("%(currency)s is not a currency. Give a code of three letters from ISO 4217, such as eur."),
        field=field,
        params={"currency": shown},
    )
