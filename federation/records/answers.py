"""Answers that a campaign directory keeps beside its parts; `federation.inquiries.probe` asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gridproof.federation.files import read_json
from gridproof.federation.jsonable import Jsonable, read_as
from gridproof.federation.records.certificate_report import CertificateReport
from gridproof.federation.records.plan_report import BlockAnswer, LinearError
from gridproof.federation.records.probe_report import AdversaryReport, RareReport
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import Plan, plan_digest
from gridproof.scenarios.strict_json import load_json

__all__ = [
    "ADVERSARY",
    "LINEAR",
    "PROVE",
    "RARE",
    "WHY",
    "kept_answers",
    "kept_certificate",
    "kept_linear",
    "kept_why",
]

ADVERSARY, RARE, WHY, PROVE = "adversary.json", "rare.json", "why.json", "prove.json"
LINEAR = "linear.json"
"""Where a campaign directory keeps the answers."""

_T = TypeVar("_T", bound=Jsonable)
_R = TypeVar("_R")


def kept_answers(store: CampaignStore) -> tuple[AdversaryReport | None, RareReport | None]:
    """Read what was asked of a campaign before: the worst, and how rare; None if it was not.

    Raises
    ------
    StoreError
        If an answer is torn or no answer; names it, and the command that gives it anew.
    """
    if store.only is not None:
        return None, None  # asked of one step's campaign, never of all that this is a view on
    return _kept(store, ADVERSARY, AdversaryReport), _kept(store, RARE, RareReport)


def kept_certificate(store: CampaignStore) -> CertificateReport | None:
    """Read what was proven of a campaign's plan; None if it was not asked.

    Raises
    ------
    StoreError
        If the answer is torn or no answer; names it, and the command that gives it anew.
    """
    return None if store.only is not None else _kept(store, PROVE, CertificateReport)


def _kept(store: CampaignStore, name: str, kind: type[_T]) -> _T | None:
    path, command = store.root / name, name.removesuffix(".json")
    if not path.exists():
        return None
    remedy = f"delete it, and ask again with: gridproof {command} {store.root}"
    try:
        return read_as(kind, read_json(path, remedy))
    except ValueError as error:
        raise StoreError(f"{path} is no answer of this command ({error}); {remedy}") from error


def kept_linear(store: CampaignStore, plan: Plan, step: int) -> LinearError | None:
    """Read how far the linear model is from OpenDSS in a plan's state; None if nobody looked.

    Raises
    ------
    StoreError
        If the answer cannot be understood.
    """
    remedy = "delete it: it is of no other use than being shown"
    return _of_plan(
        store, LINEAR, plan, remedy, lambda kept: read_as(LinearError, kept["steps"][step])
    )


def kept_why(store: CampaignStore, plan: Plan) -> tuple[BlockAnswer, ...] | None:
    """Read why a plan's dead blocks are dead; None if it was not asked of this plan.

    Raises
    ------
    StoreError
        If the answers cannot be understood.
    """

    def told(kept: Any) -> tuple[BlockAnswer, ...]:
        blocks = (read_as(BlockAnswer, one) for one in kept["blocks"])
        return tuple(one for one in blocks if store.only in (None, one.step))

    remedy = f"delete it, and ask again with: gridproof report {store.root} --why"
    return _of_plan(store, WHY, plan, remedy, told)


def _of_plan(
    store: CampaignStore, name: str, plan: Plan, remedy: str, read: Callable[[Any], _R]
) -> _R | None:
    """Read what a file says of a plan; None if there is none, or it is of another plan."""
    text = store.read(name)
    if text is None:
        return None
    try:
        kept = load_json(text)
        return read(kept) if kept["plan"] == plan_digest(plan) else None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreError(
            f"{store.root / name} cannot be understood ({error!r}); {remedy}"
        ) from error
