"""Charts as SVG that stands inside an HTML page: no script, no link, colours from the page.

vl-convert runs Vega-Lite without a browser and without network. What it gives is parsed and
written again: elements and attributes that are not needed for drawing are dropped, ids are made
unique for the page, and the title and description are put in, as the ARIA practices for ``img``
say (https://www.w3.org/WAI/ARIA/apg/).
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from behavior_spark.names import xml_text
from behavior_spark.report.page.blocks import DataChart

_SVG = "http://www.w3.org/2000/svg"
_DRAWN = {"svg", "g", "path", "rect", "line", "circle", "text", "tspan", "defs", "clipPath"}
_KEPT = {
    "id", "class", "transform", "d", "x", "y", "x1", "x2", "y1", "y2", "dx", "dy", "cx", "cy", "r",
    "width", "height", "viewBox", "fill", "fill-opacity", "stroke", "stroke-width",
    "stroke-opacity", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin",
    "stroke-miterlimit", "opacity", "display", "text-anchor", "font-size", "font-weight",
    "clip-path",
}  # fmt: skip
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def draw_chart(block: DataChart, *, key: str) -> str:
    """The chart as an ``<svg>`` element.

    Args:
        block: The chart.
        key: First part of its ids; no other chart of the page has it.
    """
    import vl_convert

    # A character that XML has not ends the process: Rust panics in vl-convert.
    specification = _in_xml(block.chart.to_dict())
    svg = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    return _for_page(
        svg, key=key, title=xml_text(block.title), description=xml_text(block.description)
    )


def _in_xml(value: Any) -> Any:
    """A tree of JSON values whose strings XML has a form for."""
    if isinstance(value, dict):
        return {xml_text(name): _in_xml(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_in_xml(part) for part in value]
    return xml_text(value) if isinstance(value, str) else value


def _for_page(svg: str, *, key: str, title: str, description: str) -> str:
    root = ElementTree.fromstring(svg)
    _clean(root, key)
    for position, (name, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(name, {"id": f"{key}-{name}"})
        element.text = text
        root.insert(position, element)
    root.attrib.pop("class", None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{key}-title {key}-desc"}
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: Any, key: str) -> None:
    """Keep what draws; names lose their namespace, since the page is HTML."""
    element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    for name, value in list(element.attrib.items()):
        if name not in _KEPT or (name == "class" and element.tag != "svg"):
            del element.attrib[name]
        elif name == "id":
            element.set(name, f"{key}-{value}")
        else:
            element.set(name, _REFERENCE.sub(rf"url(#{key}-\1)", value))
    for child in list(element):
        if child.tag.removeprefix(f"{{{_SVG}}}") in _DRAWN:
            _clean(child, key)
        else:
            element.remove(child)
