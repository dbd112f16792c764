"""Answers that a campaign directory keeps beside its parts; `federation.inquiries.probe` asked."""

from __future__ import annotations

from typing import TypeVar

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
    text = store.read(LINEAR)
    if text is None:
        return None
    try:
        kept = load_json(text)
        if kept["plan"] != plan_digest(plan):
            return None
        return read_as(LinearError, kept["steps"][step])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreError(
            f"{store.root / LINEAR} cannot be understood ({error!r}); delete it: it is of no other "
            "use than being shown"
        ) from error


def kept_why(store: CampaignStore, plan: Plan) -> tuple[BlockAnswer, ...] | None:
    """Read why a plan's dead blocks are dead; None if it was not asked of this plan.

    Raises
    ------
    StoreError
        If the answers cannot be understood.
    """
    text = store.read(WHY)
    if text is None:
        return None
    try:
        kept = load_json(text)
        if kept["plan"] != plan_digest(plan):
            return None
        told = tuple(read_as(BlockAnswer, one) for one in kept["blocks"])
        return tuple(one for one in told if store.only in (None, one.step))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{store.root / WHY} cannot be understood ({error!r}); delete it, and ask again with: "
            f"gridproof report {store.root} --why"
        ) from error
