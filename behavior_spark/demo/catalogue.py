"""The shop's catalogue: 120 items in 8 categories, the same for every seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from behavior_spark.demo.dice import cumulative

# A shelf: (nouns with base prices), adjectives, sizes. A title is "adjective noun size".
Shelf = tuple[tuple[tuple[str, float], ...], tuple[str, ...], tuple[str, ...]]

SHELVES: Final[dict[str, Shelf]] = {
    "kitchen": (
        (("ceramic mug", 9), ("frying pan", 34), ("bread knife", 19), ("glass teapot", 27),
         ("storage jar", 8)),
        ("blue", "cast iron", "speckled", "white", "green"),
        ("350 ml", "28 cm", "large", "set of 4"),
    ),
    "coffee": (
        (("coffee beans", 14), ("espresso cups", 18), ("milk frother", 29), ("coffee filter", 12),
         ("green tea", 7)),
        ("dark roast", "organic", "single origin", "decaf", "fair trade"),
        ("250 g", "1 kg", "travel size", "pack of 6"),
    ),
    "garden": (
        (("watering can", 22), ("tomato seeds", 3), ("pruning shears", 25), ("plant pot", 11),
         ("string lights", 24)),
        ("terracotta", "zinc", "heirloom", "solar", "weatherproof"),
        ("10 l", "small", "20 cm", "10 m"),
    ),
    "toys": (
        (("building blocks", 32), ("jigsaw puzzle", 16), ("plush rabbit", 15), ("board game", 28),
         ("wooden train", 36)),
        ("colourful", "classic", "soft", "educational", "glow-in-the-dark"),
        ("1000 pieces", "age 3+", "age 8+", "mini"),
    ),
    "sports": (
        (("yoga mat", 31), ("running socks", 9), ("water bottle", 17), ("resistance bands", 14),
         ("trail backpack", 69)),
        ("non-slip", "lightweight", "insulated", "heavy duty", "breathable"),
        ("6 mm", "750 ml", "size M", "20 l"),
    ),
    "office": (
        (("desk lamp", 39), ("notebook", 8), ("gel pens", 6), ("monitor stand", 44),
         ("file organiser", 18)),
        ("dimmable", "dotted", "recycled", "bamboo", "foldable"),
        ("A5", "pack of 12", "wide", "two-tier"),
    ),
    "beauty": (
        (("hand cream", 8), ("shampoo bar", 10), ("face serum", 26), ("beard oil", 15),
         ("bath salts", 12)),
        ("lavender", "unscented", "vegan", "almond", "vitamin C"),
        ("75 ml", "30 ml", "500 g", "gift set"),
    ),
    "electronics": (
        (("wireless earbuds", 79), ("phone charger", 21), ("bluetooth speaker", 58),
         ("USB-C cable", 11), ("smart plug", 23)),
        ("noise-cancelling", "fast", "waterproof", "braided", "compact"),
        ("2 m", "65 W", "black", "twin pack"),
    ),
}  # fmt: skip

CATEGORIES: Final = tuple(SHELVES)
ITEMS_PER_CATEGORY: Final = 15

# Zipf's law: the item at rank r is chosen with a chance proportional to 1 / r.
POPULARITY: Final = cumulative([1.0 / (rank + 1) for rank in range(ITEMS_PER_CATEGORY)])


@dataclass(frozen=True, slots=True)
class Item:
    """One item that the shop sells."""

    sku: str
    title: str
    category: str
    price: float
    noun: str
    adjective: str
    size: str


@lru_cache(maxsize=1)
def build_catalogue() -> dict[str, tuple[Item, ...]]:
    """Return the items of each category, most popular first.

    >>> build_catalogue()["kitchen"][0].title
    'Blue ceramic mug 350 ml'
    """
    return {
        category: tuple(_item(category, rank) for rank in range(ITEMS_PER_CATEGORY))
        for category in CATEGORIES
    }


def _item(category: str, rank: int) -> Item:
    nouns, adjectives, sizes = SHELVES[category]
    noun, base = nouns[rank % len(nouns)]
    layer = rank // len(nouns)
    adjective = adjectives[(rank + layer) % len(adjectives)]
    size = sizes[(rank + layer) % len(sizes)]
    title = f"{adjective[0].upper()}{adjective[1:]} {noun} {size}"
    number = CATEGORIES.index(category) * ITEMS_PER_CATEGORY + rank
    price = round(base * (1.0 + 0.35 * layer) - 0.01, 2)
    return Item(f"SKU-{number:04d}", title, category, price, noun, adjective, size)


def list_items() -> tuple[Item, ...]:
    """Return every item, by category and popularity."""
    return tuple(item for items in build_catalogue().values() for item in items)
