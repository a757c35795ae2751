"""The URLs of the app's views, wherever a project has included `payments.urls`, possibly several times.

An answer to a request uses the place that the request came to; without a request, the first place is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, get_urlconf, reverse


@dataclass(frozen=True, kw_only=True)
class Place:
    """One place at which a view of the app can be reached.

    `adds_arguments` means that the URL patterns above it pass arguments on, which no view of the app takes.
    """

    namespaces: tuple[str, ...]
    route: str
    adds_arguments: bool


def address_of(name: str, *args: str, request: HttpRequest | None = None) -> str:
    """Return the path of a view; raise NoReverseMatch if the URLconf doesn't include it."""
    match = None if request is None else request.resolver_match
    own = () if match is None else tuple(match.namespaces)
    usable = [place.namespaces for place in places_of(name) if not place.adds_arguments]
    if not usable:
        raise NoReverseMatch(f"payments.urls is included nowhere, so there is no address of {name!r}.")
    nearest = max(usable, key=lambda namespaces: _shared(namespaces, own))  # the first of the nearest
    return reverse(":".join((*nearest, name)), args=args)


def places_of(name: str) -> list[Place]:
    """Return every place at which the project's URLconf has the app's view with this name."""
    return list(
        _places(get_resolver(get_urlconf()), name, Place(namespaces=(), route="", adds_arguments=False))
    )


def _places(resolver: URLResolver, name: str, above: Place) -> Iterator[Place]:
    for each in resolver.url_patterns:
        route = above.route + str(each.pattern)
        if isinstance(each, URLPattern):
            if each.name == name and each.lookup_str.startswith("payments."):
                yield Place(
                    namespaces=above.namespaces, route=above.route, adds_arguments=above.adds_arguments
                )
            continue
        inner = Place(
            namespaces=(*above.namespaces, each.namespace) if each.namespace else above.namespaces,
            route=route,
            adds_arguments=above.adds_arguments or _adds_arguments(each),
        )
        yield from _places(each, name, inner)


def _adds_arguments(resolver: URLResolver) -> bool:
    pattern: Any = resolver.pattern
    return bool(pattern.regex.groups or resolver.default_kwargs)


def _shared(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    """Return how many namespaces two places share, counted from the outermost."""
    pairs = zip(left, right, strict=False)
    return next(
        (index for index, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right))
    )
