"""The shop and its admin speak the language that somebody chooses."""

from __future__ import annotations

import pytest

from example_project.walkthrough.browsers import Browser

pytestmark = [pytest.mark.database_independent, pytest.mark.xdist_group("example")]


def test_shop_follows_the_choice_in_its_footer_and_the_admin_does_too(shop_url: str) -> None:
    browser = Browser(shop_url)
    page = browser.get("/shop/")
    assert 'lang="en" dir="ltr"' in page.text
    answer = browser.post_form(
        "/language/setlang/",
        {"language": "ar", "next": "/shop/", "csrfmiddlewaretoken": page.csrf_token},
    )
    assert answer.status == 302
    assert str(answer.location).endswith("/shop/")
    shop = browser.get("/shop/").text
    assert '<html lang="ar" dir="rtl">' in shop
    assert "أضف إلى السلة" in shop
    assert 'dir="rtl"' in browser.get("/admin/login/").text


@pytest.mark.parametrize(("language", "word"), [("de", "In den Warenkorb"), ("en", "Add to cart")])
def test_shop_speaks_the_chosen_language(shop_url: str, language: str, word: str) -> None:
    browser = Browser(shop_url)
    token = browser.get("/shop/").csrf_token
    browser.post_form("/language/setlang/", {"language": language, "csrfmiddlewaretoken": token})
    assert word in browser.get("/shop/").text
