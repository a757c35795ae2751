"""How the pottery is drawn: a silhouette per shape and a pair of colours per glaze, put together as inline SVG.

The drawings are decoration: whatever they show is also said in words, so they are hidden from screen readers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Hold the SVG path of a body, how far down its glaze runs, and what stands out of the body.

    `behind` and `above` are whole SVG elements, drawn before and after the body.
    """

    body: str
    glaze_line: int
    behind: str = ""
    above: str = ""


@dataclass(frozen=True, kw_only=True)
class Glaze:
    """Hold the colours of a glaze: in the light, in the shade, and behind the piece."""

    light: str
    shade: str
    backdrop: str


_LEAVES: Final = (
    '<g fill="#5d8a66"><path d="M118 92C112 58 92 40 64 34c0 30 20 52 54 58Z"/>'
    '<path d="M122 92c2-36 22-58 52-64 2 32-16 56-52 64Z"/></g>'
    '<path d="M120 94c-4-30-2-50 4-74 12 24 12 48-4 74Z" fill="#7fae84"/>'
)
_FLAME: Final = (
    '<rect x="108" y="66" width="24" height="54" rx="4" fill="#f6f1e4"/>'
    '<path d="M120 32c12 12 13 22 0 32-13-10-12-20 0-32Z" fill="#f4b23f"/>'
    '<path d="M120 46c5 6 5 11 0 16-5-5-5-10 0-16Z" fill="#fff3cf"/>'
)

SHAPES: Final[dict[str, Shape]] = {
    "mug": Shape(
        body="M58 76h98v92a24 24 0 0 1-24 24H82a24 24 0 0 1-24-24Z",
        glaze_line=142,
        behind='<path d="M150 98h14a27 27 0 0 1 0 54h-14" fill="none" stroke="{shade}" stroke-width="15"/>',
        above='<ellipse cx="107" cy="77" rx="49" ry="10" fill="{shade}"/>',
    ),
    "bowl": Shape(
        body="M34 98h172c0 50-32 84-62 88v10H96v-10c-30-4-62-38-62-88Z",
        glaze_line=146,
        above='<ellipse cx="120" cy="98" rx="86" ry="15" fill="{shade}"/>',
    ),
    "plate": Shape(
        body="M16 132a104 44 0 0 1 208 0c0 26-38 52-76 56H92c-38-4-76-30-76-56Z",
        glaze_line=176,
        above=(
            '<ellipse cx="120" cy="132" rx="104" ry="44" fill="{light}"/>'
            '<ellipse cx="120" cy="134" rx="72" ry="28" fill="{shade}"/>'
            '<ellipse cx="120" cy="138" rx="66" ry="23" fill="{light}"/>'
        ),
    ),
    "vase": Shape(
        body="M97 44h46c-5 28 5 40 23 60 23 28 16 72-16 92H90c-32-20-39-64-16-92 18-20 28-32 23-60Z",
        glaze_line=150,
        above='<ellipse cx="120" cy="45" rx="23" ry="6" fill="{shade}"/>',
    ),
    "teapot": Shape(
        body="M58 118c0-28 28-40 62-40s62 12 62 40c0 42-20 72-44 76h-36c-24-4-44-34-44-76Z",
        glaze_line=152,
        behind=(
            '<path d="M176 104c44-10 48 62-12 62" fill="none" stroke="{shade}" stroke-width="13"/>'
            '<path d="M66 150C36 146 40 110 18 98l16-10c24 6 22 36 40 44Z" fill="{shade}"/>'
        ),
        above=(
            '<path d="M82 84c4-14 20-20 38-20s34 6 38 20c-22 6-54 6-76 0Z" fill="{shade}"/>'
            '<circle cx="120" cy="58" r="10" fill="{light}"/>'
        ),
    ),
    "jug": Shape(
        body="M74 54h66l20 6c-10 14-8 28 0 46 20 38 10 72-16 90H86c-28-16-36-50-16-88 12-22 14-34 4-54Z",
        glaze_line=150,
        behind='<path d="M150 88c48-4 52 66 4 78" fill="none" stroke="{shade}" stroke-width="14"/>',
        above='<path d="M74 54h66l20 6c-20 10-66 12-83-1Z" fill="{shade}"/>',
    ),
    "planter": Shape(
        body="M58 94h124l-14 92a16 16 0 0 1-16 14H88a16 16 0 0 1-16-14Z",
        glaze_line=152,
        behind=_LEAVES,
        above='<rect x="52" y="86" width="136" height="18" rx="6" fill="{shade}"/>',
    ),
    "candle": Shape(
        body="M72 122h96v48a26 26 0 0 1-26 26H98a26 26 0 0 1-26-26Z",
        glaze_line=158,
        behind=_FLAME,
        above='<ellipse cx="120" cy="122" rx="48" ry="9" fill="{shade}"/>'
        '<rect x="108" y="90" width="24" height="34" rx="4" fill="#f6f1e4"/>',
    ),
    "set": Shape(
        body="M22 158h196c0 24-28 40-60 42H82c-32-2-60-18-60-42Z M50 104h140c0 26-24 44-48 48H98c-24-4-48-22-48-48Z",
        glaze_line=178,
        behind='<ellipse cx="120" cy="158" rx="98" ry="12" fill="{shade}"/>',
        above='<ellipse cx="120" cy="104" rx="70" ry="12" fill="{shade}"/>',
    ),
}

GLAZES: Final[dict[str, Glaze]] = {
    "cobalt": Glaze(light="#3f63c9", shade="#24408f", backdrop="#d5def5"),
    "celadon": Glaze(light="#8fbfae", shade="#5e9484", backdrop="#dcebe5"),
    "iron": Glaze(light="#a4552f", shade="#743817", backdrop="#f1dfd3"),
    "chalk": Glaze(light="#efece3", shade="#cfc9ba", backdrop="#d9dde2"),
    "slate": Glaze(light="#5d6b78", shade="#3c4853", backdrop="#dfe4e8"),
    "ochre": Glaze(light="#d9a441", shade="#a97722", backdrop="#f6e9cd"),
}
_CLAY: Final = "#b9a48c"


def draw(shape_name: str, glaze_name: str, *, key: str) -> SafeString:
    """Return a drawing of a shape in a glaze. `key` is unique on the page; the clip path's id is made of it."""
    shape = SHAPES.get(shape_name, SHAPES["bowl"])
    glaze = GLAZES.get(glaze_name, GLAZES["cobalt"])
    return format_html(
        '<svg class="art" viewBox="0 0 240 240" preserveAspectRatio="xMidYMid slice" aria-hidden="true">'
        '<rect width="240" height="240" fill="{backdrop}"/>'
        '<ellipse cx="120" cy="202" rx="92" ry="10" fill="#0b1630" opacity=".14"/>'
        '{behind}<clipPath id="cut-{key}"><path d="{body}"/></clipPath>'
        '<path d="{body}" fill="{clay}"/><g clip-path="url(#cut-{key})"><path d="{run}" fill="{light}"/>'
        '<path d="M150 0h90v240h-70c24-60 14-150-20-240Z" fill="#0b1630" opacity=".16"/>'
        '<path d="M78 0h16c-22 80-18 160 2 240H78c-18-80-18-160 0-240Z" fill="#fff" opacity=".28"/></g>{above}</svg>',
        backdrop=glaze.backdrop,
        behind=_coloured(shape.behind, glaze),
        key=key,
        body=shape.body,
        clay=_CLAY,
        run=_run(shape.glaze_line),
        light=glaze.light,
        above=_coloured(shape.above, glaze),
    )


def _run(line: int) -> str:
    """Return the path of a glaze that ran down to about `line`, in drips."""
    return f"M0 0h240v{line}c-18 16-30 4-44 {-4}s-24 22-44 14-22-22-40-16-26 22-46 12-24-20-38-12-18 8-28 2Z"


def _coloured(elements: str, glaze: Glaze) -> SafeString:
    """Fill the glaze's colours into this module's own elements; nothing of it comes from outside."""
    return mark_safe(elements.format(light=glaze.light, shade=glaze.shade))  # noqa: S308
