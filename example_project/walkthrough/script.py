"""The main job from checkout to refund: 100.00 EUR, of which 60.00 by card with a 3DS code and 40.00 by transfer."""

from __future__ import annotations

import re
from typing import Any, Final

from example_project.walkthrough.browsers import Answer, Browser
from example_project.walkthrough.clients import KEY_HEADER, REPLAYED_HEADER, Client, Payer, Walk, origin_of
from example_project.walkthrough.transcripts import Transcript

PIECE: Final = "supper-for-two"
CODE: Final = "123456"
WRONG_CODE: Final = "000000"
STOREFRONT: Final = "/payments/storefront"
STAFF: Final = "/payments/staff"

_SUMS: Final = ("status", "amount", "authorized_amount", "captured_amount", "refunded_amount")
_SESSION: Final = ("id", "status", "provider_id", "amount", "data", "next_action", "error")
_PAYMENT: Final = ("id", "status", "provider_id", "amount", "captured_amount", "refunded_amount")
_CHIP: Final = re.compile(r'<span class="chip \w+">([^<]+)</span>')
_ORDER: Final = re.compile(r"/shop/orders/(?P<number>[\w-]+)/pay/$")


class Walkthrough:
    """Play the main job against a shop at `base_url`; raises UnexpectedAnswerError at the first difference."""

    def __init__(
        self, base_url: str, transcript: Transcript, *, username: str, password: str, simulator_key: str
    ) -> None:
        self._base_url = base_url
        self._login = {"username": username, "password": password}
        self._simulator_key = simulator_key
        self.walk = Walk(transcript)
        self._shopper = Browser(base_url)
        self._payer = Payer(self.walk, "payer", self._shopper)
        self._staff = Client(self.walk, "staff", Browser(base_url))
        self._collection = ""
        self._card = ""
        self._transfer = ""
        self._private: dict[str, Any] = {}
        transcript.name_address(base_url, "http://shop")

    def run(self) -> None:
        """Play every step."""
        reference = self._order()
        self._open(reference)
        self._split()
        self._refuse_excess()
        self._authorize_transfer()
        action = self._authorize_card()
        self._pass_challenge(action)
        self._authorize_again()
        self._refuse_strangers()
        self._log_in()
        card, transfer = self._look_as_staff()
        self._capture(card)
        self._refuse_further_capture(card)
        self._refund(card)
        self._refuse_excessive_refund(card)
        self._capture_transfer(transfer)
        self._compare_ledger(action)
        self._look_as_payer()
        self._look_at_order(reference)
        self.walk.transcript.line("\nEvery answer was as expected.")

    # The payer

    def _order(self) -> str:
        self.walk.step("A guest orders supper for two, for 100.00 EUR")
        token = self._shopper.get("/shop/").csrf_token
        self._submit(f"/shop/cart/add/{PIECE}/", {}, token)
        answer = self._submit("/shop/cart/order/", {"email": "guest@example.com"}, token)
        found = _ORDER.search(answer.location or "")
        if found is None:
            raise self.walk.unexpected("where the order leads", _ORDER.pattern, answer.location)
        return found["number"]

    def _open(self, reference: str) -> None:
        self.walk.step(
            "The checkout opens the order's payment collection: the shop says how much, not the payer"
        )
        url, body = f"{STOREFRONT}/payment-collections/", {"reference": reference}
        opened = self._payer.ask(
            "POST",
            url,
            body,
            status=201,
            expected=_sums("not_paid") | {"payment_sessions": []},
            show=("id", "currency_code", *_SUMS, "payment_sessions", "client_secret"),
        ).json
        self._collection = opened["id"]
        # From here on the secret alone opens the door: a fresh browser has no cookie of the shop.
        self._payer.browser = Browser(self._base_url)
        self._payer.use_secret(opened["client_secret"])
        self.walk.transcript.found("the payer goes on with the client secret alone, without any cookie")

    def _split(self) -> None:
        self.walk.step("The payer splits it: 60.00 on a card, 40.00 by transfer, which the merchant handles")
        url = f"{STOREFRONT}/payment-collections/{self._collection}/payment-sessions/"
        back = f"{self._base_url}/shop/"
        card = {"provider_id": "simulator", "amount": "60.00", "return_url": back}
        expected: dict[str, Any] = {"status": "pending", "amount": "60.00", "next_action": None}
        created = self._payer.ask("POST", url, card, status=201, expected=expected, show=_SESSION).json
        self._card = created["id"]
        self.walk.expect("the public keys of the data", _PUBLIC, sorted(created["data"]))
        transfer = {"provider_id": "system", "amount": "40.00"}
        expected = {"status": "pending", "amount": "40.00", "data": {}}
        created = self._payer.ask("POST", url, transfer, status=201, expected=expected, show=_SESSION).json
        self._transfer = created["id"]

    def _refuse_excess(self) -> None:
        self.walk.step("A cent more than the order is for is refused, and half a cent isn't even an amount")
        url = f"{STOREFRONT}/payment-collections/{self._collection}/payment-sessions/"
        for amount, code in (("0.01", "nothing_left"), ("0.005", "too_many_decimals")):
            body = {"provider_id": "system", "amount": amount}
            blamed = {"errors": [{"field": "amount", "code": code}]}
            self._payer.ask("POST", url, body, status=400, expected={"code": code} | blamed)
        self._check_collection("awaiting", sessions=("pending", "pending"))

    def _authorize_transfer(self) -> None:
        self.walk.step("The transfer is promised: its 40.00 count as authorized")
        url = f"{STOREFRONT}/payment-sessions/{self._transfer}/authorize/"
        self._payer.ask("POST", url, {}, status=200, expected={"status": "authorized"}, show=_SESSION)
        self._check_collection("partially_authorized", authorized="40.00", sessions=("pending", "authorized"))

    def _authorize_card(self) -> str:
        self.walk.step("The card's bank asks for a code first: requires_more")
        url = f"{STOREFRONT}/payment-sessions/{self._card}/authorize/"
        expected = {"status": "requires_more", "next_action": {"type": "redirect"}, "error": None}
        body = {"data": {"card": "card_3ds"}}
        answer = self._payer.ask("POST", url, body, status=200, expected=expected, show=_SESSION)
        action = str(answer.json["next_action"]["url"])
        sessions = ("requires_more", "authorized")
        self._check_collection("partially_authorized", authorized="40.00", sessions=sessions)
        return action

    def _pass_challenge(self, action: str) -> None:
        self.walk.step("The payer goes to the bank's page, mistypes the code, then gets it right")
        bank = Browser(origin_of(action))
        self.walk.transcript.sent("payer", "GET", action)
        shown = bank.get(action)
        self._check_page(shown, status=200, text="60.00")
        self._enter_code(bank, action, WRONG_CODE, status=200, text="This code is wrong.")
        answer = self._enter_code(bank, action, CODE, status=303)
        self.walk.expect("where the bank sends the payer", f"{self._base_url}/shop/", answer.location)
        self.walk.transcript.found("the bank sends the payer back to the shop's return address")

    def _authorize_again(self) -> None:
        self.walk.step(
            "Back from the bank, the checkout authorizes again; and once more, which changes nothing"
        )
        url = f"{STOREFRONT}/payment-sessions/{self._card}/authorize/"
        expected = {"status": "authorized", "amount": "60.00", "next_action": None, "error": None}
        for _time in range(2):
            self._payer.ask("POST", url, {}, status=200, expected=expected, show=_SESSION)
        self._check_collection("authorized", authorized="100.00", sessions=("authorized", "authorized"))

    def _refuse_strangers(self) -> None:
        self.walk.step("Without login or secret, a row gives the same 404 as one that doesn't exist")
        stranger = Client(self.walk, "stranger", Browser(self._base_url))
        theirs = stranger.ask("GET", f"{STOREFRONT}/payment-sessions/{self._card}/", status=404)
        missing = stranger.ask("GET", f"{STOREFRONT}/payment-sessions/payses_none/", status=404)
        self.walk.expect("both answers", missing.json, theirs.json)

    # The staff

    def _log_in(self) -> None:
        self.walk.step("An operator logs in through the admin; before that, the staff API is closed")
        url = f"{STAFF}/payment-collections/{self._collection}/"
        self._staff.ask("GET", url, status=401, expected={"type": "authentication_error"})
        page = self._staff.browser.get("/admin/login/")
        form = self._login | {"csrfmiddlewaretoken": page.csrf_token, "next": "/admin/"}
        shown = f"username={self._login['username']}&password=…&csrfmiddlewaretoken=…"
        self.walk.transcript.sent("staff", "POST", "/admin/login/", shown)
        answer = self._staff.browser.post_form("/admin/login/", form)
        self._check_page(answer, status=302, text="")

    def _look_as_staff(self) -> tuple[str, str]:
        self.walk.step(
            "The operator sees the two payments, and the provider's private data, which no payer ever saw"
        )
        self._check_staff_collection("authorized", "100.00", "0.00", "0.00")
        url = f"{STAFF}/payment-sessions/{self._card}/"
        session = self._staff.ask("GET", url, status=200, show=("id", "status", "payment_id", "data")).json
        private = session["provider_data"]
        names = sorted(set(private) - set(session["data"]))
        if not names:
            raise self.walk.unexpected("private provider data", "some", private)
        self.walk.transcript.found(f"provider_data holds {', '.join(names)}: shown to this operator only")
        self._private = {name: private[name] for name in names}
        self._check_secrecy()
        url = f"{STAFF}/payment-sessions/{self._transfer}/"
        transfer = self._staff.ask("GET", url, status=200, show=("id", "status", "payment_id", "data")).json
        return session["payment_id"], transfer["payment_id"]

    def _capture(self, payment: str) -> None:
        self.walk.step("60.00 are captured as 25.00 when the first parcel leaves, and 35.00 with the second")
        self._move(payment, "capture", "25.00", status="partially_captured", captured="25.00")
        self._check_staff_collection("partially_captured", "100.00", "25.00", "0.00")
        self._move(payment, "capture", "35.00", status="captured", captured="60.00")
        self._check_staff_collection("partially_captured", "100.00", "60.00", "0.00")

    def _refuse_further_capture(self, payment: str) -> None:
        self.walk.step("A further capture is refused: nothing is left")
        for body in ({}, {"amount": "0.01"}):
            self._refuse(payment, "capture", body, code="nothing_left")
        self._check_staff_collection("partially_captured", "100.00", "60.00", "0.00")

    def _refund(self, payment: str) -> None:
        self.walk.step("15.00 are refunded, with a reason; the same request again moves nothing")
        listed = self._staff.browser.get(f"{STAFF}/refund-reasons/").json["results"]
        reason = next((row for row in listed if row["label"] == "Damaged in transit"), None)
        if reason is None:
            raise self.walk.unexpected("the refund reasons", "Damaged in transit", listed)
        more = {"refund_reason_id": reason["id"], "note": "One plate chipped at the rim."}
        key = "refund-of-a-chipped-plate-" + payment
        first = self._move(
            payment,
            "refund",
            "15.00",
            status="partially_refunded",
            captured="60.00",
            refunded="15.00",
            key=key,
            **more,
        )
        refund = {"status": "succeeded", "amount": "15.00", "note": more["note"]}
        cause = {"refund_reason": {"id": reason["id"], "label": reason["label"]}}
        self.walk.expect("the refund", [refund | cause], first.json["refunds"])
        again = self._move(
            payment,
            "refund",
            "15.00",
            status="partially_refunded",
            captured="60.00",
            refunded="15.00",
            key=key,
            **more,
        )
        self.walk.expect("the header of a replay", "true", again.headers.get(REPLAYED_HEADER))
        self.walk.expect("the replayed answer", first.json, again.json)
        self.walk.transcript.found(
            f"the same {KEY_HEADER}: the first answer again, with {REPLAYED_HEADER}: true"
        )
        self._check_staff_collection("partially_captured", "100.00", "60.00", "15.00")

    def _refuse_excessive_refund(self, payment: str) -> None:
        self.walk.step("More than the 45.00 that are left can't be refunded")
        self._refuse(payment, "refund", {"amount": "45.01"}, code="exceeds_remaining")

    def _capture_transfer(self, payment: str) -> None:
        self.walk.step("The transfer has arrived: its 40.00 are captured, and the collection is completed")
        self._move(payment, "capture", "40.00", status="captured", captured="40.00")
        self._check_staff_collection("completed", "100.00", "100.00", "15.00")

    # What it came to

    def _compare_ledger(self, action: str) -> None:
        self.walk.step("The payment service's own ledger says the same, in minor units")
        bank = Client(self.walk, "ledger", Browser(origin_of(action)))
        bank.headers["Authorization"] = f"Bearer {self._simulator_key}"
        totals = {"authorized": 6000, "captured": 6000, "refunded": 1500, "canceled": 0}
        counts = {"intents": 1, "authorizations": 1, "captures": 2, "refunds": 1}
        bank.ask("GET", f"/_control/totals?reference={self._card}", status=200, expected=totals | counts)

    def _look_as_payer(self) -> None:
        self.walk.step("What the payer sees in the end, with nothing private in any answer of the storefront")
        url = f"{STOREFRONT}/payment-collections/{self._collection}/"
        shown = self._payer.ask(
            "GET", url, status=200, expected=_sums("completed", "100.00", "100.00", "15.00")
        ).json
        card = next(row for row in shown["payment_sessions"] if row["id"] == self._card)
        self.walk.expect("the public keys of the data", _PUBLIC, sorted(card["data"]))
        self._check_secrecy()

    def _look_at_order(self, reference: str) -> None:
        self.walk.step("The shop has heard of it: the guest's order is paid")
        url = f"/shop/orders/{reference}/"
        self.walk.transcript.sent("guest", "GET", url)
        page = self._shopper.get(url)
        self._check_page(page, status=200, text="")
        found = _CHIP.search(page.text)
        self.walk.expect("the order's status", "Paid", found[1] if found else None)
        self.walk.transcript.found("the page says “Paid”")

    # Helpers

    def _submit(self, url: str, values: dict[str, str], token: str) -> Answer:
        self.walk.transcript.sent(
            "guest", "POST", url, "&".join(f"{k}={v}" for k, v in values.items()) or None
        )
        answer = self._shopper.post_form(url, values | {"csrfmiddlewaretoken": token})
        self._check_page(answer, status=302, text="")
        return answer

    def _enter_code(self, bank: Browser, action: str, code: str, *, status: int, text: str = "") -> Answer:
        self.walk.transcript.sent("payer", "POST", action, f"code={code}&decision=approve")
        answer = bank.post_form(action, {"code": code, "decision": "approve"})
        self._check_page(answer, status=status, text=text)
        return answer

    def _check_page(self, answer: Answer, *, status: int, text: str) -> None:
        """Write down a page's status and check it; `text` has to be somewhere on it."""
        leads = f"Location: {answer.location}" if answer.location else None
        self.walk.transcript.received(answer.status, leads)
        self.walk.expect("the status", status, answer.status)
        if text not in answer.text:
            raise self.walk.unexpected("the page", f"a text with {text!r}", answer.text[:300])
        if text:
            self.walk.transcript.found(f"the page says “{text}”")

    def _check_collection(self, status: str, *, sessions: tuple[str, str], authorized: str = "0.00") -> None:
        """Check the collection as its payer sees it, and the status of the card's and the transfer's session."""
        url = f"{STOREFRONT}/payment-collections/{self._collection}/"
        states = [{"status": state} for state in sessions]
        expected = _sums(status, authorized) | {"payment_sessions": states}
        answer = self._payer.browser.get(url, headers=self._payer.headers)
        self._payer.keep(answer)
        self.walk.expect(f"GET {url}: status", 200, answer.status)
        self.walk.expect("the collection", expected, answer.json)
        self.walk.transcript.found(
            f"collection {status}: {authorized} of 100.00 authorized · card {sessions[0]} · transfer {sessions[1]}"
        )

    def _check_staff_collection(self, status: str, authorized: str, captured: str, refunded: str) -> None:
        """Check the collection as an operator sees it."""
        url = f"{STAFF}/payment-collections/{self._collection}/"
        answer = self._staff.browser.get(url)
        self.walk.expect(f"GET {url}: status", 200, answer.status)
        self.walk.expect("the collection", _sums(status, authorized, captured, refunded), answer.json)
        self.walk.expect("the number of payments", 2, len(answer.json["payments"]))
        self.walk.transcript.found(
            f"collection {status}: {authorized} authorized, {captured} captured, {refunded} refunded · 2 payments"
        )

    def _move(
        self,
        payment: str,
        verb: str,
        amount: str,
        *,
        status: str,
        captured: str,
        refunded: str = "0.00",
        key: str | None = None,
        **more: str,
    ) -> Answer:
        """Capture or refund as staff, and check the payment afterwards."""
        expected = {"status": status, "captured_amount": captured, "refunded_amount": refunded}
        url = f"{STAFF}/payments/{payment}/{verb}/"
        body: dict[str, Any] = {"amount": amount} | more
        return self._staff.ask("POST", url, body, status=200, expected=expected, show=_PAYMENT, key=key)

    def _refuse(self, payment: str, verb: str, body: dict[str, str], *, code: str) -> None:
        """Check that staff can't do something, and that the answer names the amount as what is to blame."""
        blamed = {"type": "invalid_request", "code": code, "errors": [{"field": "amount", "code": code}]}
        self._staff.ask("POST", f"{STAFF}/payments/{payment}/{verb}/", body, status=400, expected=blamed)

    def _check_secrecy(self) -> None:
        """Look for private names and values in everything that the storefront has answered so far."""
        said = "\n".join(self.walk.storefront_answers)
        for name, value in self._private.items():
            for secret in (f'"{name}"', *([value] if isinstance(value, str) and value else [])):
                if secret in said:
                    raise self.walk.unexpected(f"what the storefront says of {name}", "nothing", secret)
        if '"provider_data"' in said:
            raise self.walk.unexpected("what the storefront says", "no provider_data", "provider_data")
        count = len(self.walk.storefront_answers)
        self.walk.transcript.found(f"none of it is in the {count} answers that the storefront gave so far")


_PUBLIC: Final = ["challenge_error", "client_token", "intent_id", "status"]


def _sums(
    status: str, authorized: str = "0.00", captured: str = "0.00", refunded: str = "0.00"
) -> dict[str, Any]:
    return {
        "status": status,
        "amount": "100.00",
        "authorized_amount": authorized,
        "captured_amount": captured,
        "refunded_amount": refunded,
    }
