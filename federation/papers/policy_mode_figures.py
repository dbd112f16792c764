"""The four quadrants of the policy-mode publication's Fig. 2, from our own study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.papers.output import Picture
from gridproof.federation.papers.policy_mode_draws import coordinates
from gridproof.federation.papers.policy_modes import (
    MODES,
    PolicyModeRun,
    RowSpec,
    study_of,
)
from gridproof.federation.reports.drawing import Drawing, save_figure
from gridproof.federation.wording import decimals
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_from_json

__all__ = ["policy_mode_pictures"]

_DRAWS = 2000
_INK = {"sampled": "#6b7280", "actual": "#b45309", "reserve": "#1d4ed8", "short": "#b91c1c"}
_NAMES = {
    "deterministic": "deterministic", "gaussian": "Gaussian", "cvar": "CVaR",
    "sample_box": "box of samples", "support_box": "box of support", "dro_total": "DRO, total",
    "dro_components": "DRO, components",
}  # fmt: skip


def policy_mode_pictures(run: PolicyModeRun, root: Path) -> dict[str, Picture]:
    """Draw and write every figure; returns them by key."""
    made = {
        "distributions": (
            _distributions(run),
            "What a step lacks in mode cyber, hour 12: sampled and actual distribution.",
        ),
        "impacts_cvar": (
            _impacts(run, "cvar"),
            "Impacts against the reserves that CVaR buys, by hour, actual distribution.",
        ),
        "impacts_dro": (
            _impacts(run, "dro_components"),
            "Impacts against the reserves of the set over components, by hour.",
        ),
        "cost_resilience": (
            _trade(run),
            "Cost against the share of pairs that reserves cover, four modes, all methods but the "
            "deterministic one, which buys nothing and covers nothing.",
        ),
    }
    return {
        key: Picture(
            files=tuple(path.name for path in save_figure(figure, root / f"figure_{key}")),
            caption=caption,
        )
        for key, (figure, caption) in made.items()
    }


def _deficits(run: PolicyModeRun, spec: RowSpec, draws: str) -> FloatArray:
    """(draw, step) kW that steps lack."""
    scenario = study_of(run.data, spec).scenario
    drawn = coordinates(run.data.paper.study, spec.mode, draws, _DRAWS)
    lacking = scenario.disturbances.deficit_kw
    return np.stack(
        [lacking(scenario.disturbance_of(zeta), step) for step, zeta in enumerate(drawn)], axis=1
    )


def _distributions(run: PolicyModeRun) -> Drawing:
    spec = RowSpec(mode="cyber", method="cvar", response="shared", network="copperplate")
    figure = Drawing(6.4, 3.6)
    axes = figure.subplots()
    drawn = {draws: _deficits(run, spec, draws)[:, 12] for draws in ("sampled", "actual")}
    edges = np.histogram_bin_edges(np.concatenate(list(drawn.values())), bins=60).tolist()
    for draws, values in drawn.items():
        axes.hist(
            values, bins=edges, histtype="stepfilled", alpha=0.45, color=_INK[draws], label=draws
        )
        tail = float(np.quantile(values, 0.95))
        axes.axvline(tail, color=_INK[draws], linewidth=1.2, linestyle="--")
    axes.set_yscale("log")
    axes.set_xlabel("deficit at 12 h, kW (dashed: 95 % quantile)")
    axes.set_ylabel(f"draws of {_DRAWS}")
    axes.legend(frameon=False)
    _plain(axes)
    return figure


def _impacts(run: PolicyModeRun, method: str) -> Drawing:
    spec = RowSpec(mode="cyber", method=method, response="shared", network="copperplate")
    study = study_of(run.data, spec)
    text = (run.out / "plans" / f"{spec.key}.json").read_text(encoding="utf-8")
    plan = plan_from_json(text, study.scenario)
    assert plan.reserves is not None
    deficit = _deficits(run, spec, "actual")
    up = plan.reserves.up_kw.sum(axis=1) / _part_of_ders(plan)
    down = plan.reserves.down_kw.sum(axis=1)
    short = (deficit > up + 1e-6) | (deficit < -down - 1e-6)
    aside = np.linspace(-0.32, 0.32, len(deficit))[:, None]  # so that a step's draws are seen apart
    hours = study.scenario.hours + aside
    figure = Drawing(6.4, 3.6)
    axes = figure.subplots()
    axes.plot(
        hours[~short], deficit[~short], ".", ms=2.0, color=_INK["sampled"], alpha=0.3,
        rasterized=True, label="covered",
    )  # fmt: skip
    axes.plot(
        hours[short], deficit[short], ".", ms=3.0, color=_INK["short"], rasterized=True,
        label=f"not covered ({decimals(100.0 * float(short.mean()), 2)} % of pairs)",
    )  # fmt: skip
    axes.step(study.scenario.hours, up, where="mid", color=_INK["reserve"], label="reserve")
    axes.step(study.scenario.hours, -down, where="mid", color=_INK["reserve"])
    axes.set_xlabel("hour")
    axes.set_ylabel("impact, kW")
    axes.set_title(f"mode cyber, {_NAMES[method]}", loc="left", fontsize=10)
    axes.legend(frameon=False, loc="upper left", markerscale=3.0)
    axes.set_ylim(top=1.35 * max(float(deficit.max()), float(up.max())))
    _plain(axes)
    return figure


def _part_of_ders(plan: Plan) -> FloatArray:
    """(step,) part of an up-reserve that DERs hold; loads that are cut at once hold the rest."""
    rule = plan.rule
    assert rule is not None
    cut = rule.load_gain.sum(axis=(1, 2))
    whole = rule.gain.sum(axis=(1, 2)) + cut
    return np.asarray(1.0 - np.divide(cut, whole, out=np.zeros_like(cut), where=whole > 0.0))


def _trade(run: PolicyModeRun) -> Drawing:
    figure = Drawing(7.2, 4.2)
    axes = figure.subplots()
    marks: Mapping[str, Any] = dict(zip(MODES, ("o", "s", "^", "D"), strict=True))
    inks = dict(
        zip(
            _NAMES,
            ("#9ca3af", "#0d9488", "#b91c1c", "#7c3aed", "#111827", "#d97706", "#1d4ed8"),
            strict=True,
        )
    )
    for row in run.rows:
        spec, figures = row.spec, row.figures
        if spec.response != "shared" or spec.network != "copperplate":
            continue
        if figures.cost_usd is None or figures.violated_share is None:
            continue
        axes.plot(
            figures.cost_usd, 100.0 * (1.0 - figures.violated_share),
            marks[spec.mode], color=inks[spec.method], ms=7.0, alpha=0.85,
        )  # fmt: skip
    for mode in MODES:
        axes.plot([], [], marks[mode], color="#6b7280", label=f"mode {mode}")
    for method, name in _NAMES.items():
        if method == "deterministic":
            continue  # it covers nothing, far below what is drawn: the caption says so
        axes.plot([], [], "o", color=inks[method], label=name)
    axes.set_xlabel("cost of the day, USD (shared response, no network)")
    axes.set_ylabel("pairs covered, %")
    axes.axhline(95.0, color="#9ca3af", linewidth=0.8, linestyle=":")
    axes.set_ylim(60.0, 101.0)
    axes.legend(frameon=False, ncols=2, fontsize=8, loc="lower right")
    _plain(axes)
    return figure


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
