"""The front page: where things are, for a developer who looks around."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from example_project.demo.people import PEOPLE
from example_project.shop.cards import TRIAL_CARDS


@require_GET
def front(request: HttpRequest) -> HttpResponse:
    """Show the addresses of the storefront, the API, the admin and the simulator."""
    context = {
        "simulator_url": settings.PAYMENTS["PROVIDERS"]["simulator"]["OPTIONS"]["base_url"],
        "staff_url": reverse("payments:staff-payment-collections"),
        "cards": TRIAL_CARDS,
        # The demo makes these users, and they are shown, only where DEBUG is on.
        "people": PEOPLE if settings.DEBUG else (),
    }
    return render(request, "shop/front.html", context)
