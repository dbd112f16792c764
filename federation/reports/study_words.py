"""What was run, in words: the title with what was overridden, planner, limits, fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.tables.table import Table, number, text
from gridproof.federation.wording import fixed, title_as_run, whole
from gridproof.scenarios.arrays import PHASES, FloatArray
from gridproof.scenarios.scenario import Scenario

__all__ = ["capability_table", "fleet_table", "study_facts", "study_title"]

_INFINITE = "\u221e"


def study_title(store: CampaignStore) -> str:
    """Return the study's title, and what it was run with, see `federation.wording.title_as_run`."""
    title = store.study["config"].get("study", {}).get("title") or store.study["name"]
    return title_as_run(str(title), _overrides(store))


def _overrides(store: CampaignStore) -> tuple[str, ...]:
    """Entries the study was loaded with; the last word on a key is the one that holds."""
    given = store.environment.get("overrides", [])
    last = {str(one).partition("=")[0].strip(): str(one) for one in given}
    return tuple(last.values())


def study_facts(store: CampaignStore, scenario: Scenario) -> tuple[tuple[str, str], ...]:
    """Say by which planner, within which limits, and with which fleet, as it was run."""
    config = store.study["config"]
    known = "overrides" in store.environment
    said = ", ".join(_overrides(store)) or ("none" if known else "not kept by an earlier version")
    return (
        ("overrides", said),
        ("planner", _settings(config.get("planner", {}))),
        ("limits", _limits(config.get("limits", {}), scenario)),
        ("fleet", _fleet(scenario)),
    )


def _settings(section: Mapping[str, Any]) -> str:
    """Name what a section says, without what it leaves open."""
    told = [
        f"{key.replace('_', ' ')} {_word(value)}"
        for key, value in section.items()
        if value not in (None, {}, [], False)
    ]
    return ", ".join(told)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes"
    if isinstance(value, dict):
        return "; ".join(f"{key} {_word(one)}" for key, one in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _limits(section: Mapping[str, Any], scenario: Scenario) -> str:
    limits, lines = scenario.limits, scenario.feeder.lines
    rated = lines.rating_a[np.isfinite(lines.rating_a)]
    told = [
        f"{fixed(limits.v_min_pu, 3)} to {fixed(limits.v_max_pu, 3)} pu "
        f"{limits.voltage_test.value.replace('_', '-')}",
        f"lines {_span(rated)} A" if len(rated) else "no line is rated",
        f"at most {limits.grid_forming_per_island} grid-forming an island",
    ]
    if len(rated) < len(lines.ids) and len(rated):
        told.append(f"{len(lines.ids) - len(rated)} of {len(lines.ids)} lines not rated")
    for key in ("line_ratings_a", "transformer_ratings_kva"):
        own = section.get(key) or {}
        if own:
            told.append(f"{len(own)} {key.split('_', maxsplit=1)[0]}s with a rating of their own")
    if section.get("radial_blocks"):
        told.append("blocks joined as trees")
    return "; ".join(told)


def _span(values: FloatArray) -> str:
    least, most = float(values.min()), float(values.max())
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"


def _fleet(scenario: Scenario) -> str:
    ders, fleet = scenario.ders, scenario.fleet
    total = float(ders.p_max_kw[np.isfinite(ders.p_max_kw)].sum())
    told = [
        f"{len(ders.ids)} DERs, {fixed(total, 0)} kW in all, {int(ders.can_form.sum())} can form"
    ]
    for name, kind in (
        ("storages", fleet.storages), ("renewables", fleet.renewables), ("CHPs", fleet.chps),
        ("boilers", fleet.boilers), ("mobile generators", fleet.mobile_generators),
        ("flexible loads", fleet.flexible_loads), ("crews", fleet.crews),
    ):  # fmt: skip
        if kind.ids:
            told.append(f"{whole(len(kind.ids))} {name}")
    for name, count in (
        ("least power factor", 0 if ders.q_per_p is None else np.isfinite(ders.q_per_p).sum()),
        ("capability curve", 0 if ders.curves is None else len(ders.curves.of_ders)),
    ):
        if count:
            told.append(f"{whole(int(count))} with a {name}")
    return ", ".join(told)


def fleet_table(scenario: Scenario) -> Table:
    """List what every DER can do, whatever the plan asks of it."""
    ders, buses = scenario.ders, scenario.feeder.buses.ids
    kinds = dict.fromkeys(range(len(ders.ids)), "")
    for kind, table in (
        ("storage", scenario.fleet.storages), ("renewable", scenario.fleet.renewables),
        ("CHP", scenario.fleet.chps),
    ):  # fmt: skip
        kinds |= dict.fromkeys(table.der.tolist(), kind)
    return Table(
        name="fleet",
        title="What the DERs can do, all phases together",
        columns=(
            text("DER"), text("bus"), text("phases"), text("kind"),
            number("least", 1, "kW"), number("most", 1, "kW", nothing=_INFINITE),
            number("least", 1, "kvar"), number("most", 1, "kvar", nothing=_INFINITE),
            number("rating", 1, "kVA", nothing=_INFINITE),
            number("ramp", 1, "kW", nothing=_INFINITE),
            text("can form"), number("cost", 2, "USD/kW"),
        ),
        rows=tuple(
            (
                name, buses[ders.bus[k]],
                "".join(phase for phase, has in zip(PHASES, ders.phases[k], strict=True) if has),
                kinds[k], float(ders.p_min_kw[k].sum()), float(ders.p_max_kw[k].sum()),
                float(ders.q_min_kvar[k].sum()), float(ders.q_max_kvar[k].sum()),
                float(ders.s_max_kva[k][ders.phases[k]].sum()), float(ders.ramp_kw[k].sum()),
                "yes" if ders.can_form[k] else "no", float(ders.cost_usd_per_kw[k]),
            )
            for k, name in enumerate(ders.ids)
        ),
        shown=60,
    )  # fmt: skip


def capability_table(scenario: Scenario) -> Table | None:
    """List what binds reactive power to active power, point by point; None where nothing does."""
    ders = scenario.ders
    rows: list[tuple[str, str, float, float, float]] = []
    for k, name in enumerate(ders.ids):
        turned = np.inf if ders.q_per_p is None else float(ders.q_per_p[k])
        if np.isfinite(turned):
            said = f"power factor {fixed(1.0 / np.hypot(1.0, turned), 3)}"
            most = float(ders.p_max_kw[k].sum())
            rows += [(name, said, kw, 0.0 - turned * kw, turned * kw) for kw in (0.0, most)]
        if ders.curves is not None:
            points = zip(*(part.tolist() for part in ders.curves.of(k)), strict=True)
            rows += [(name, "capability curve", kw, low, high) for kw, low, high in points]
    if not rows:
        return None
    return Table(
        name="capability",
        title="Reactive power beside active power, all phases together, straight between points",
        columns=(
            text("DER"), text("stated as"), number("at", 1, "kW"),
            number("least", 1, "kvar"), number("most", 1, "kvar"),
        ),
        rows=tuple(rows),
        note="Beside what the fleet's own table says: reactive limits, rating, ramps.",
        shown=60,
    )  # fmt: skip
