"""Addresses of the shop."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from example_project.shop import views

app_name = "shop"

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("currency/", views.choose_currency, name="currency"),
    path("cart/", views.show_cart, name="cart"),
    path("cart/add/<slug:slug>/", views.add_to_cart, name="add"),
    path("cart/change/<slug:slug>/", views.change_quantity, name="change"),
    path("cart/order/", views.place_order, name="place-order"),
    path("orders/", views.list_orders, name="orders"),
    path("orders/<str:number>/", views.show_order, name="order"),
    path("orders/<str:number>/pay/", views.checkout, name="checkout"),
    path("orders/<str:number>/return/", views.return_from_bank, name="return"),
    path("cards/", views.show_cards, name="cards"),
    path("login/", LoginView.as_view(template_name="shop/login.html"), name="login"),
    path("logout/", LogoutView.as_view(next_page="shop:catalogue"), name="logout"),
]
