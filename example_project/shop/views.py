"""The shop's pages: catalogue, cart, checkout, orders.

None of them moves money: the checkout page talks to the storefront API of `payments` from the browser.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AbstractBaseUser
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from example_project.shop.access import find_order, remember_order
from example_project.shop.cart import Cart
from example_project.shop.checkout import cards_settings, checkout_settings
from example_project.shop.forms import ContactForm, QuantityForm
from example_project.shop.models import Order, Price, Product
from example_project.shop.overviews import overview_of


@require_GET
def catalogue(request: HttpRequest) -> HttpResponse:
    """Show what there is to buy, in the visitor's currency."""
    prices = Price.objects.filter(currency_code=Cart(request.session).currency_code)
    offers = prices.select_related("product").order_by("product__position")
    return render(request, "shop/catalogue.html", {"offers": offers})


@require_POST
def choose_currency(request: HttpRequest) -> HttpResponse:
    """Switch to another price list."""
    Cart(request.session).currency_code = request.POST.get("currency", "")
    return redirect(_way_back(request))


@require_GET
def show_cart(request: HttpRequest) -> HttpResponse:
    """Show what is in the cart."""
    return _render_cart(request, ContactForm())


@require_POST
def add_to_cart(request: HttpRequest, slug: str) -> HttpResponse:
    """Put a product into the cart."""
    Cart(request.session).add(get_object_or_404(Product, slug=slug))
    return redirect("shop:cart")


@require_POST
def change_quantity(request: HttpRequest, slug: str) -> HttpResponse:
    """Set how many of a product are in the cart; a number that can't be leaves it as it was."""
    form = QuantityForm(request.POST)
    if form.is_valid():
        product = get_object_or_404(Product, slug=slug)
        Cart(request.session).set_quantity(product, form.cleaned_data["quantity"])
    return redirect("shop:cart")


@require_POST
def place_order(request: HttpRequest) -> HttpResponse:
    """Turn the cart into an order, and go on to its payment."""
    cart = Cart(request.session)
    if not cart.count:
        return redirect("shop:cart")
    customer = request.user if request.user.is_authenticated else None
    form = ContactForm(request.POST if customer is None else {"email": customer.email})
    if not form.is_valid():
        return _render_cart(request, form, status=422)
    order = cart.place_order(email=form.cleaned_data["email"], customer=customer)
    remember_order(request, order)
    return redirect("shop:checkout", number=order.number)


@require_GET
def checkout(request: HttpRequest, number: str) -> HttpResponse:
    """Show the page on which an order is paid."""
    return _render_checkout(request, number, is_return=False)


@require_GET
def return_from_bank(request: HttpRequest, number: str) -> HttpResponse:
    """Show the page to which a payer comes back from a provider; it authorizes once more."""
    return _render_checkout(request, number, is_return=True)


@require_GET
def show_order(request: HttpRequest, number: str) -> HttpResponse:
    """Show an order, and what is paid, held and open of it."""
    order = _visible_order(request, number)
    return render(request, "shop/order.html", {"order": order, "payment": overview_of(order)})


@require_GET
@login_required
def list_orders(request: HttpRequest) -> HttpResponse:
    """Show a customer's orders."""
    assert isinstance(request.user, AbstractBaseUser)  # noqa: S101 - login_required made sure
    orders = Order.objects.filter(customer=request.user).prefetch_related("lines")
    return render(request, "shop/orders.html", {"orders": orders})


@require_GET
@login_required
def show_cards(request: HttpRequest) -> HttpResponse:
    """Show the page on which a customer looks after their saved cards."""
    return render(request, "shop/cards.html", {"settings": cards_settings(request)})


def _render_cart(request: HttpRequest, form: ContactForm, *, status: int = 200) -> HttpResponse:
    return render(request, "shop/cart.html", {"form": form}, status=status)


def _render_checkout(request: HttpRequest, number: str, *, is_return: bool) -> HttpResponse:
    order = _visible_order(request, number)
    context: dict[str, Any] = {
        "order": order,
        "settings": checkout_settings(request, order, is_return=is_return),
    }
    return render(request, "shop/checkout.html", context)


def _visible_order(request: HttpRequest, number: str) -> Order:
    order = find_order(request, number)
    if order is None:
        raise Http404(_("There is no such order here."))
    return order


def _way_back(request: HttpRequest) -> str:
    """Return the page the visitor came from, if it is one of ours."""
    came_from = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(came_from, allowed_hosts={request.get_host()})
    return came_from if is_ours else "shop:catalogue"
