"""Figures as files, and their SVG made fit to stand inside a page: ids of its own, and named."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from gridproof.federation.files import write_whole
from gridproof.federation.plain_text import shown

if TYPE_CHECKING:  # what only reads a page needs no drawing
    from matplotlib.figure import Figure

__all__ = ["inline_svg", "write_figure"]

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_URL = re.compile(r"url\(#([^)]+)\)")


def write_figure(figure: Figure, path: Path, *, over: str = "", **settings: Any) -> None:
    """Write a figure whole or not at all, in the form its suffix names.

    Parameters
    ----------
    figure, path
        What, and where to.
    over
        SVG that is laid over all that is drawn.
    settings
        As for matplotlib's ``savefig``.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix.removeprefix("."), **settings)
    data = drawn.getvalue()
    if path.suffix == ".svg":  # what a tick's own formatter said, too
        text = shown(data.decode("utf-8", "surrogatepass"))
        head, end, tail = text.rpartition("</svg>")
        data = f"{head}{over}{end}{tail}".encode()
    write_whole(path, data)


def inline_svg(path: Path, *, key: str, title: str, description: str) -> str:
    """Read a figure and return it as one ``<svg>`` element.

    Parameters
    ----------
    path
        The file, as `federation.reports.drawing.save_figure` wrote it.
    key
        Put before every id, so that figures of one page do not share any.
    title, description
        What a screen reader says instead of the drawing.
    """
    root = ElementTree.parse(path).getroot()
    for child in list(root):
        if child.tag == f"{{{_SVG}}}metadata":
            root.remove(child)
    for holder in list(root.iter(f"{{{_SVG}}}defs")):  # a style there would style the page
        for style in holder.findall(f"{{{_SVG}}}style"):
            holder.remove(style)
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            if name == "id":
                element.set(name, f"{key}-{value}")
            elif name in (f"{{{_XLINK}}}href", "href") and value.startswith("#"):
                element.set(name, f"#{key}-{value[1:]}")
            elif "url(#" in value:
                element.set(name, _URL.sub(rf"url(#{key}-\1)", value))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib.update(
        {
            "role": "img",
            "aria-labelledby": f"{key}-title {key}-desc",
            "stroke-linejoin": "round",
            "stroke-linecap": "butt",
        }
    )
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        named = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{key}-{tag}"})
        named.text = text
        root.insert(place, named)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")
