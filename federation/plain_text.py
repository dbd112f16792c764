"""Text of files and wires, fit to be shown: nothing in it moves, colours or runs anything.

An id may hold whatever a feeder, a plan or a Parquet file has. Where text leaves the program, for a
terminal, a page, a figure or a spreadsheet, what would act there instead of being read is shown as
its number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

__all__ = ["PlainConsole", "csv_cell", "shown"]

_ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\ud800-\udfff]"
)
"""Controls but tab and line break, signs that turn the direction of writing, halves of signs."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def shown(text: str) -> str:
    r"""Return a text with what would act on a screen as its number: ``\x1b`` for escape.

    A text that holds nothing of the kind is returned as it is.
    """
    return _ACTS.sub(_number, text)


def _number(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def csv_cell(value: Any) -> Any:
    """Return a cell that a spreadsheet shows and does not run; numbers are left alone.

    A text that begins like a formula, and is no number, gets the sign for text before it.
    """
    if not isinstance(value, str):
        return value
    text = shown(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class PlainConsole(Console):
    """A terminal that interprets nothing of what it is given to print.

    Colours and places are the program's own; square brackets are square brackets.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Take a string as it is read."""
        return super().render_str(shown(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the pieces of something, each as it is read."""
        for piece in super().render(renderable, options):
            if piece.control or not _ACTS.search(piece.text):
                yield piece
            else:
                yield Segment(shown(piece.text), piece.style)
