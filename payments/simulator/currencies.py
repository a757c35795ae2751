"""ISO 4217 currencies: which exist, how many decimals each has, and how an amount is shown to a person.

The simulator shares no code with the app that it tests, so this table is its own (ISO 4217 list one, 2026).
"""

from __future__ import annotations

from typing import Final


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WITHOUT_DECIMALS: Final = _codes("bif clp djf gnf isk jpy kmf krw pyg rwf ugx vnd vuv xaf xof xpf")
_WITH_THREE: Final = _codes("bhd iqd jod kwd lyd omr tnd")
_WITH_TWO: Final = _codes(
    """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd btn bwp byn bzd cad cdf chf cny cop
    crc cup cve czk dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd gtq gyd hkd hnl htg huf idr ils inr irr
    jmd kes kgs khr kpw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mru mur mvr mwk mxn myr mzn nad ngn
    nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sdg sek sgd shp sle sos srd ssp stn svc syp
    szl thb tjs tmt top try ttd twd tzs uah usd uyu uzs ved ves wst xcd xcg yer zar zmw zwg
    """
)
CURRENCIES: Final = _WITHOUT_DECIMALS | _WITH_TWO | _WITH_THREE

_SYMBOLS: Final = {
    "eur": "€", "usd": "$", "gbp": "£", "jpy": "¥", "inr": "₹", "krw": "₩", "ils": "₪", "vnd": "₫", "ngn": "₦",
    "php": "₱", "uah": "₴", "try": "₺", "aud": "A$", "cad": "CA$", "nzd": "NZ$", "brl": "R$", "mxn": "MX$",
}  # fmt: skip


def decimals(currency: str) -> int:
    """Return how many decimals a currency has."""
    if currency in _WITHOUT_DECIMALS:
        return 0
    return 3 if currency in _WITH_THREE else 2


def format_amount(amount: int, currency: str) -> str:
    """Show minor units as a person reads them, e.g. 123450 eur as `€1,234.50`."""
    digits = decimals(currency)
    whole, rest = divmod(abs(amount), 10**digits)
    number = f"{whole:,}" + (f".{rest:0{digits}d}" if digits else "")
    symbol = _SYMBOLS.get(currency, currency.upper() + "\N{NO-BREAK SPACE}")
    return f"{'-' if amount < 0 else ''}{symbol}{number}"
