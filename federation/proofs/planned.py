"""A study's plan, and how it came to its proof."""

from __future__ import annotations

from dataclasses import dataclass

from gridproof.federation.records.ac_proof_report import AcProofReport
from gridproof.scenarios.plan import Plan

__all__ = ["Planned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and how it came to its AC proof if one was asked for."""

    plan: Plan
    ac_proof: AcProofReport | None = None
