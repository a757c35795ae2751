"""What stands on the shelves, and why money goes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from example_project.shop.models import CURRENCIES, Price, Product
from payments.models import RefundReason


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Describe a product; `prices` are in major units of EUR, JPY and KWD."""

    slug: str
    name: str
    description: str
    shape: str
    glaze: str
    prices: tuple[str, str, str]


# No price calls up a misbehaviour of the simulator: those listen to the last two digits of the minor units.
PIECES: Final = (
    Piece(
        slug="gale-jug",
        name="Gale jug",
        description="Pours a litre without a drip, however hard it blows.",
        shape="jug",
        glaze="cobalt",
        prices=("46.00", "7400", "15.500"),
    ),
    Piece(
        slug="tide-bowl",
        name="Tide bowl",
        description="Wide, with a rim that shows how far the salt came.",
        shape="bowl",
        glaze="celadon",
        prices=("32.00", "5200", "10.750"),
    ),
    Piece(
        slug="kelp-vase",
        name="Kelp vase",
        description="A narrow neck for three stems, or one stubborn one.",
        shape="vase",
        glaze="ochre",
        prices=("58.00", "9400", "19.500"),
    ),
    Piece(
        slug="harbour-mug",
        name="Harbour mug",
        description="Holds a third of a litre, and a hand on a cold morning.",
        shape="mug",
        glaze="slate",
        prices=("24.00", "3900", "8.000"),
    ),
    Piece(
        slug="supper-for-two",
        name="Supper for two",
        description="Two deep and two shallow plates, stacked in a crate.",
        shape="set",
        glaze="cobalt",
        prices=("100.00", "16000", "33.500"),
    ),
    Piece(
        slug="foghorn-teapot",
        name="Foghorn teapot",
        description="Four cups, one spout, and you hear it when it's ready.",
        shape="teapot",
        glaze="iron",
        prices=("86.00", "13900", "28.750"),
    ),
    Piece(
        slug="shoal-plate",
        name="Shoal plate",
        description="Flat, calm, and 26 centimetres across.",
        shape="plate",
        glaze="chalk",
        prices=("28.00", "4500", "9.500"),
    ),
    Piece(
        slug="dune-planter",
        name="Dune planter",
        description="With a hole and a saucer, for whatever grows in sand.",
        shape="planter",
        glaze="iron",
        prices=("38.00", "6100", "12.750"),
    ),
    Piece(
        slug="beacon",
        name="Beacon",
        description="A candle holder that throws light to the far wall.",
        shape="candle",
        glaze="slate",
        prices=("18.50", "3000", "6.250"),
    ),
)

REASONS: Final = (
    ("Damaged in transit", "It arrived in more pieces than it left in."),
    ("Changed their mind", "Sent back unused within thirty days."),
    ("Wrong piece sent", "We packed something else."),
    ("Goodwill", "Nothing was wrong, but somebody had to wait."),
    ("Ordered twice", "The same order came in two times."),
)


def stock_shelves() -> None:
    """Have every product and every refund reason; those that are there stay as they are."""
    for position, piece in enumerate(PIECES):
        product, is_new = Product.objects.get_or_create(
            slug=piece.slug,
            defaults={
                "name": piece.name,
                "description": piece.description,
                "shape": piece.shape,
                "glaze": piece.glaze,
                "position": position,
            },
        )
        if is_new:
            Price.objects.bulk_create(
                Price(product=product, currency_code=code, amount=amount)
                for code, amount in zip(CURRENCIES, piece.prices, strict=True)
            )
    for label, description in REASONS:
        RefundReason.objects.get_or_create(label=label, defaults={"description": description})
