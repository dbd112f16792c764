"""First-stage decisions as equations see them: variables, or numbers where they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Decisions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """First-stage decisions, each a Pyomo variable or a plain number.

    Attributes
    ----------
    closed, energized, forming
        Per switch, per block, per DER (0 for a DER that cannot form).
    source_w
        Squared voltage magnitude that each DER holds if it forms.
    """

    closed: Mapping[int, Any]
    energized: Mapping[int, Any]
    forming: Mapping[int, Any]
    source_w: Mapping[int, Any]
