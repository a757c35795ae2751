"""How one simulator is set up and what all of it shares: settings, clock, ids, currencies and worker threads."""

from __future__ import annotations

import abc
import secrets
import threading
import time
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import ClassVar, Final

from payments.simulator.ledger import Ledger

DEFAULT_API_KEY: Final = "sk_sim_test"
DEFAULT_WEBHOOK_SECRET: Final = "whsec_simulator"  # noqa: S105 (a pretend secret)
"""What the command line starts it with. Everybody can read these here, so a shop refuses them outside of DEBUG."""


def new_api_key() -> str:
    """Return a new random key."""
    return f"sk_sim_{token_urlsafe()}"


def new_webhook_secrets() -> tuple[str, ...]:
    """Return a new random secret."""
    return (f"whsec_{token_urlsafe()}",)


@dataclass(frozen=True, kw_only=True)
class DeliveryPolicy:
    """How webhooks are delivered.

    Arguments: `duplicate`, how many times each · `hold` until released · `delay` in seconds · `drop`, never ·
    `reorder`, hold each until the intent's next event, which goes first.
    """

    duplicate: int = 1
    hold: bool = False
    delay: float = 0.0
    drop: bool = False
    reorder: bool = False


@dataclass(kw_only=True)
class Settings:
    """The switches of a running simulator; tests may change them while it runs.

    Arguments: `async_delay` in seconds until something pending settles by itself (None: only by a control
    call) · `key_window` in seconds an idempotency key is kept · `authorization_lifetime` in seconds ·
    `webhook_secrets`, each of which signs (several during a rotation) · `webhook_retries`, the pauses in
    seconds after each failed delivery · `webhook_senders`, how many events are delivered at once (then in no order) ·
    `allowed_hosts`, names under which it is asked besides its own.
    """

    api_key: str = field(default_factory=new_api_key)
    base_url: str = ""
    merchant: str = "Your shop"
    async_delay: float | None = 2.0
    key_window: float = 24 * 3600.0
    authorization_lifetime: float = 7 * 24 * 3600.0
    allowed_hosts: tuple[str, ...] = ()
    webhook_url: str | None = None
    webhook_secrets: tuple[str, ...] = field(default_factory=new_webhook_secrets)
    webhook_timeout: float = 10.0
    webhook_retries: tuple[float, ...] = (1.0, 5.0, 30.0, 120.0, 600.0)
    webhook_senders: int = 1
    delivery: DeliveryPolicy = field(default_factory=DeliveryPolicy)


class Clock:
    """The time, shifted by an offset in seconds."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """Return Unix time in seconds."""
        return time.time() + self.offset


def new_id(prefix: str) -> str:
    """Return an identifier that can't be guessed and sorts by time, e.g. `int_019f...`."""
    return f"{prefix}_{time.time_ns() // 1000:013x}{secrets.token_hex(8)}"


def new_secret(prefix: str) -> str:
    """Return a secret of 192 random bits."""
    return f"{prefix}_{secrets.token_hex(24)}"


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


# ISO 4217, list one, 2026. The simulator shares no code with the app that it tests, so this table is its own.
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


class Worker(abc.ABC):
    """A thread that does what is due, and looks again whenever the ledger has changed."""

    thread_name: ClassVar[str]

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        ledger.on_commit.append(self._wake.set)

    def start(self) -> None:
        """Start doing what is due, also what an earlier process left."""
        self._stopping = stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(stopping,), name=self.thread_name, daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """Look for what is due now."""
        self._wake.set()

    def stop(self) -> None:
        """Stop after what is in hand."""
        self._stopping.set()
        self._wake.set()
        if self._thread:
            self._thread.join(timeout=1)

    @abc.abstractmethod
    def _run(self, stopping: threading.Event) -> None:
        """Do what is due until it is time to stop."""
