"""Why a voltage is where it is: who holds it, who could still move it, and what keeps them from it.

Looked at where the campaign came nearest to a voltage limit: at that bus and phase, in that
realization, with the set-points that the recourse gives there. How far an output moves the voltage
is the linear model's; where outputs are, and what they are held to, is the plan's and the study's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.profile import Profile, slot_names
from gridproof.federation.tables.table import Table, number, text
from gridproof.federation.wording import decimals, fixed, place_words
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.commitment import running
from gridproof.scenarios.errors import ScenarioError, SolverError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import MarginKind

__all__ = ["Holding", "Mover", "Spot", "holding_of", "holding_table", "is_near", "spot_of"]

_NEAR = 0.3  # of half the band: beyond it the linear recourse asks for no more either
_BUSES = 3000
_AT_LIMIT = 1e-4  # of the phase's rating
_NOTHING_MPU = 1e-6  # a kW that moves a voltage by less does not move it
_POLICIES = ("fixed", "participation", "linear", "rule", "affine")  # that answer without physics


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A voltage near its limit, or outside: bus and slot, realization, which side, and how far."""

    bus: int
    slot: int
    name: str
    index: int
    low: bool
    margin_pu: float
    voltage_pu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """One DER's active or reactive power, and what it could still do.

    Attributes
    ----------
    der, power
        Which, and P or Q.
    now, unit
        All phases together.
    per_unit_mpu
        What one more kW or kvar, alike on its phases, moves the voltage by; thousandths of a pu.
    room_mpu
        How far it could still move it the wanted way.
    held_by
        What the phases that could help are held to, where they are at it: capability, ramp.
    """

    der: str
    power: str
    now: float
    unit: str
    per_unit_mpu: float
    room_mpu: float
    held_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What was found of a spot: who forms, at which voltage, and who follows."""

    spot: Spot
    former: str
    held_pu: float
    movers: tuple[Mover, ...]

    def words(self) -> str:
        """Say it in a sentence or two."""
        one, low = self.spot, self.spot.low
        where = "inside" if one.margin_pu >= 0.0 else "OUTSIDE"
        said = (
            f"Nearest to a limit: {one.name} at {fixed(one.voltage_pu, 4)} pu, "
            f"{fixed(abs(one.margin_pu), 4)} pu {where} its {'least' if low else 'greatest'}, in "
            f"realization #{one.index}. {self.former} forms the island and holds "
            f"{fixed(self.held_pu, 4)} pu, which the plan fixes"
        )
        way, room = ("raise" if low else "lower"), sum(max(m.room_mpu, 0.0) for m in self.movers)
        if not self.movers:
            return f"{said}; no other DER is in it."
        most = self.movers[0]
        stuck = [f"{m.power} of {m.der} ({m.held_by})" for m in self.movers if m.held_by]
        held = f" At their limit: {', '.join(stuck[:4])}." if stuck else ""
        return (
            f"{said}; the others could {way} it by {decimals(room, 2)} mpu in the linear model, "
            f"most by {most.power} of {most.der} ({decimals(most.room_mpu, 2)}).{held}"
        )


def spot_of(scenario: Scenario, verdicts: CampaignReport, profile: Profile) -> Spot | None:
    """Return the voltage that came nearest to its limit, if any came near."""
    worst = verdicts.worst.get(MarginKind.VOLTAGE.value)
    if worst is None or worst.element is None or not is_near(worst.margin, scenario):
        return None
    names, limits = slot_names(scenario), scenario.limits
    bus = scenario.feeder.buses.ids.index(worst.element)
    slot = names.index(worst.phase) if worst.phase in names else 0
    at = np.flatnonzero((profile.bus == bus) & (profile.phase == slot))
    if not len(at):
        return None
    k = int(at[0])
    low = profile.low_pu[k] - limits.v_min_pu <= limits.v_max_pu - profile.high_pu[k]
    return Spot(
        bus=bus,
        slot=slot,
        name=place_words(worst.element, worst.phase),
        index=worst.index,
        low=bool(low),
        margin_pu=worst.margin,
        voltage_pu=float(limits.v_min_pu + worst.margin if low else limits.v_max_pu - worst.margin),
    )


def is_near(margin_pu: float, scenario: Scenario) -> bool:
    """Whether a voltage margin is small enough to ask what holds it."""
    half = (scenario.limits.v_max_pu - scenario.limits.v_min_pu) / 2.0
    return margin_pu < _NEAR * half


def holding_of(
    plan: Plan, scenario: Scenario, recourse: str, spot: Spot, zeta: FloatArray
) -> Holding | None:
    """Ask of a spot who holds it; None where the linear model does not say.

    That is a recourse that needs physics, an island with a loop, or a large feeder.

    Parameters
    ----------
    plan, scenario, recourse
        Of one step; how set-points answer a draw.
    spot, zeta
        The voltage, and the (direction,) realization.
    """
    if recourse not in _POLICIES or len(scenario.feeder.buses.ids) > _BUSES or len(plan.closed) > 1:
        return None
    # Pyomo and HiGHS take a second to import
    from gridproof.optimizer.network.branches import BASE_KVA  # noqa: PLC0415
    from gridproof.optimizer.network.first_stage import FirstStage  # noqa: PLC0415
    from gridproof.optimizer.network.limited import pairs_at, voltage_map  # noqa: PLC0415
    from gridproof.optimizer.network.limits import control_box  # noqa: PLC0415
    from gridproof.optimizer.network.network import Network  # noqa: PLC0415
    from gridproof.optimizer.network.statemap import island_state  # noqa: PLC0415
    from gridproof.optimizer.recourse.linear import LinearRecourse  # noqa: PLC0415
    from gridproof.optimizer.recourse.policies import make_recourse  # noqa: PLC0415

    network, stage = Network.of(running(plan, scenario, 0)), FirstStage.of(plan)
    home = int(network.block[spot.bus])
    (blocks,) = [one for one in stage.islands(scenario) if home in one]
    try:
        state = island_state(network, stage, blocks)
        answers = (
            LinearRecourse(plan, scenario, learns=False)
            if recourse == "linear"
            else make_recourse(recourse, plan, scenario, 0)
        )
        told = answers.respond(realize(scenario, zeta[None]))
    except (ScenarioError, SolverError):
        return None
    places = pairs_at(network, state) if network.pairwise else state.nodes
    row = int(np.flatnonzero((places == (spot.bus, spot.slot)).all(axis=1))[0])
    at = (state.controls[:, 0], state.controls[:, 1])
    now = np.concatenate([told.p_kw[0][at], told.q_kvar[0][at]]) / BASE_KVA
    own = np.concatenate([stage.p[at], stage.q[at]])
    ramp = np.concatenate([network.ders.ramp_p[at], network.ders.ramp_q[at]])
    inside = np.isin(network.block[network.der_bus], blocks)
    former = int(np.flatnonzero(stage.forming & inside)[0])
    slope = voltage_map(network, state).of_u[row] / (2.0 * spot.voltage_pu)
    (low, high), planes = control_box(network, stage, state), network.ders.planes
    beside = planes.around(told.p_kw[0] / BASE_KVA, told.q_kvar[0] / BASE_KVA)
    low = np.maximum(low, np.concatenate([least[at] for least, _ in beside]))
    high = np.minimum(high, np.concatenate([most[at] for _, most in beside]))
    ends = np.where((slope > 0.0) == spot.low, high - now, now - low)
    edge = np.where((slope > 0.0) == spot.low, high, low)
    by_ramp = np.abs(np.abs(edge - own) - ramp) <= 1e-9
    room = np.maximum(ends, 0.0) * BASE_KVA
    movers = [
        _mover(
            scenario, (g, part), state.controls, (slope / BASE_KVA, now * BASE_KVA, room, by_ramp)
        )
        for g in np.unique(state.controls[:, 0]).tolist()
        for part in (0, 1)
    ]
    return Holding(
        spot=spot,
        former=scenario.ders.ids[former],
        held_pu=float(np.sqrt(stage.source_w[former])),
        movers=tuple(sorted(movers, key=lambda one: (-one.room_mpu, one.der, one.power))),
    )


def _mover(
    scenario: Scenario,
    which: tuple[int, int],
    controls: IntArray,
    columns: tuple[FloatArray, FloatArray, FloatArray, BoolArray],
) -> Mover:
    """Put the phases of a DER's active (0) or reactive (1) power together."""
    (g, part), (slope, now, room, by_ramp) = which, columns
    rows = np.flatnonzero(controls[:, 0] == g)
    mine, phases = rows + part * len(controls), controls[rows, 1]
    rated = np.maximum(scenario.ders.p_max_kw, -scenario.ders.p_min_kw)[g][phases]
    mpu = 1e3 * slope[mine]
    useful = np.abs(mpu) > _NOTHING_MPU
    stuck = useful & (room[mine] <= _AT_LIMIT * np.maximum(rated, 1e-9))
    names = sorted({"ramp" if by_ramp[k] else "capability" for k in mine[stuck]})
    return Mover(
        der=scenario.ders.ids[g],
        power="PQ"[part],
        now=float(now[mine].sum()),
        unit=("kW", "kvar")[part],
        per_unit_mpu=float(mpu.mean()),
        room_mpu=float((np.abs(mpu) * room[mine]).sum()),
        held_by=" and ".join(names) if stuck.any() and stuck.sum() == useful.sum() else "",
    )


def holding_table(found: Holding | None) -> Table | None:
    """List who could still move the voltage."""
    if found is None or not found.movers:
        return None
    return Table(
        name="voltage-holders",
        title=f"Who could move the voltage at {found.spot.name} in realization #{found.spot.index}",
        columns=(
            text("DER"), text("power"), number("now", 1), text("unit"),
            number("one more moves it by", 4, "mpu"), number("could still move it by", 3, "mpu"),
            text("held by"),
        ),
        rows=tuple(
            (one.der, one.power, one.now, one.unit, one.per_unit_mpu, one.room_mpu, one.held_by)
            for one in found.movers
        ),
        note="In the linear model, each alone, the others as they are; what forms holds its own.",
        shown=20,
    )  # fmt: skip
