"""The shop over HTTP: the cart, who sees which order, and what the storefront may pay."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from example_project.walkthrough.browsers import Answer, Browser

pytestmark = [pytest.mark.database_independent, pytest.mark.xdist_group("example")]


class Visitor:
    """Walk through the shop like somebody with a browser."""

    def __init__(self, url: str) -> None:
        self.browser = Browser(url)
        self.token = self.browser.get("/shop/").csrf_token

    def post(self, path: str, **values: str) -> Answer:
        return self.browser.post_form(path, values | {"csrfmiddlewaretoken": self.token})

    def order(self, *slugs: str, email: str = "guest@example.com") -> str:
        for slug in slugs:
            assert self.post(f"/shop/cart/add/{slug}/").status == 302
        answer = self.post("/shop/cart/order/", email=email)
        assert answer.status == 302, answer.text
        found = re.search(r"/orders/([\w-]+)/pay/", answer.location or "")
        assert found is not None
        return found[1]

    def log_in(self, name: str) -> None:
        page = self.browser.get("/shop/login/")
        self.token = page.csrf_token
        assert self.post("/shop/login/", username=name, password="demo").status == 302
        self.token = self.browser.get("/shop/").csrf_token


@pytest.fixture
def visitor(shop_url: str) -> Visitor:
    return Visitor(shop_url)


@pytest.fixture
def other(shop_url: str) -> Visitor:
    return Visitor(shop_url)


@pytest.mark.parametrize(
    ("currency", "price"), [("eur", "100.00 EUR"), ("jpy", "16,000 JPY"), ("kwd", "33.500 KWD")]
)
def test_catalogue_shows_prices_in_the_chosen_currency(visitor: Visitor, currency: str, price: str) -> None:
    visitor.post("/shop/currency/", currency=currency, next="/shop/")
    assert price in visitor.browser.get("/shop/").text


def test_currency_switch_leads_nowhere_else(visitor: Visitor) -> None:
    answer = visitor.post("/shop/currency/", currency="eur", next="https://elsewhere.example/")
    assert answer.location is not None
    assert answer.location.endswith("/shop/")
    assert "elsewhere" not in answer.location


def test_cart_adds_changes_and_removes(visitor: Visitor) -> None:
    visitor.post("/shop/cart/add/beacon/")
    visitor.post("/shop/cart/change/beacon/", quantity="3")
    assert "55.50 EUR" in visitor.browser.get("/shop/cart/").text
    visitor.post("/shop/cart/change/beacon/", quantity="-1")
    assert "55.50 EUR" in visitor.browser.get("/shop/cart/").text
    visitor.post("/shop/cart/change/beacon/", quantity="0")
    assert "55.50 EUR" not in visitor.browser.get("/shop/cart/").text


def test_order_without_an_address_is_refused_and_says_why(visitor: Visitor) -> None:
    visitor.post("/shop/cart/add/beacon/")
    answer = visitor.post("/shop/cart/order/", email="nobody")
    assert answer.status == 422
    assert 'role="alert"' in answer.text


def test_empty_cart_makes_no_order(visitor: Visitor) -> None:
    answer = visitor.post("/shop/cart/order/", email="guest@example.com")
    assert (answer.location or "").endswith("/shop/cart/")


@pytest.mark.parametrize("page", ["", "pay/", "return/"])
def test_order_is_seen_by_the_browser_that_placed_it_and_by_no_other(
    visitor: Visitor, other: Visitor, page: str
) -> None:
    number = visitor.order("beacon")
    assert visitor.browser.get(f"/shop/orders/{number}/{page}").status == 200
    assert other.browser.get(f"/shop/orders/{number}/{page}").status == 404


def test_customers_order_is_seen_from_another_browser_of_theirs(visitor: Visitor, other: Visitor) -> None:
    visitor.log_in("mia")
    number = visitor.order("beacon")
    other.log_in("mia")
    assert number in other.browser.get("/shop/orders/").text
    other.log_in("kenji")
    assert other.browser.get(f"/shop/orders/{number}/").status == 404


def test_customers_order_is_hidden_again_after_logging_out(visitor: Visitor) -> None:
    visitor.log_in("noor")
    number = visitor.order("beacon")
    visitor.post("/shop/logout/")
    assert visitor.browser.get(f"/shop/orders/{number}/").status == 404


def test_storefront_opens_a_collection_for_a_visible_order_only(visitor: Visitor, other: Visitor) -> None:
    number = visitor.order("gale-jug", "beacon")
    url, body = "/payments/storefront/payment-collections/", {"reference": number}
    refused = other.browser.send_json("POST", url, body, headers={})
    assert refused.status == 400
    assert refused.json["code"] == "unknown_reference"
    opened = visitor.browser.send_json("POST", url, body, headers={})
    assert (opened.status, opened.json["amount"], opened.json["currency_code"]) == (201, "64.50", "eur")


@pytest.mark.parametrize(("number", "status"), [("A-1", 201), ("C-3", 201), ("D-4", 400)])
def test_a_bill_is_paid_by_whoever_names_it_and_a_customers_order_is_not(
    visitor: Visitor, number: str, status: int
) -> None:
    url = "/payments/storefront/payment-collections/"
    assert visitor.browser.send_json("POST", url, {"reference": number}, headers={}).status == status


class _Audit(HTMLParser):
    """Look for what a page needs to be usable: labels, one heading, a language, nothing from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.labelled: set[str] = set()
        self.fields: set[str] = set()
        self.headings = 0
        self.foreign: list[str] = []
        self.language: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "label":
            self.labelled.add(values.get("for") or "")
        if tag == "input" and values.get("type") != "hidden":
            self.fields.add(values.get("id") or "")
        self.headings += tag == "h1"
        self.language = values.get("lang") if tag == "html" else self.language
        source = values.get("src") or (values.get("href") if tag == "link" else None)
        if source and not source.startswith("/"):
            self.foreign.append(source)


@pytest.mark.parametrize("path", ["/", "/shop/", "/shop/cart/", "/shop/login/"])
def test_page_has_one_heading_a_language_labels_and_nothing_from_elsewhere(
    visitor: Visitor, path: str
) -> None:
    visitor.post("/shop/cart/add/beacon/")
    audit = _Audit()
    audit.feed(visitor.browser.get(path).text)
    assert audit.headings == 1
    assert audit.language == "en"
    assert audit.fields <= audit.labelled
    assert audit.foreign == []


def test_front_page_says_where_things_are(visitor: Visitor) -> None:
    page = visitor.browser.get("/")
    for address in ("/shop/", "/admin/", "/payments/storefront/", "/payments/staff/", "http://127.0.0.1:"):
        assert address in page.text
    links = re.findall(r'href="(/payments/[^"]+)"', page.text)
    assert {visitor.browser.get(link).status for link in links} == {200, 401}


@pytest.mark.parametrize("name", ["shop.css", "checkout.js", "api.js", "view.js", "money.js", "mark.svg"])
def test_static_files_are_served(visitor: Visitor, name: str) -> None:
    assert visitor.browser.get(f"/static/shop/{name}").status == 200


def test_customers_look_after_their_saved_cards_and_guests_have_none(
    visitor: Visitor, other: Visitor
) -> None:
    where = "payment-providers/simulator/saved-payment-methods/"
    sent_away = other.browser.get("/shop/cards/")
    assert sent_away.status == 302
    assert str(sent_away.location).endswith("/shop/login/?next=/shop/cards/")
    number = other.order("beacon")
    assert where not in other.browser.get(f"/shop/orders/{number}/pay/").text

    visitor.log_in("mia")
    assert where in visitor.browser.get("/shop/cards/").text
    assert 'href="/shop/cards/"' in visitor.browser.get("/shop/orders/").text
    number = visitor.order("beacon")
    assert where in visitor.browser.get(f"/shop/orders/{number}/pay/").text
