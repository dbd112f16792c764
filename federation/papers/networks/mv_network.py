"""A seeded medium-voltage network: several substations, many radial feeders, ties between them.

Buses lie on a jittered grid; each belongs to the nearest substation and, by its bearing, to
one of that substation's feeders, which grows as a tree that trades line length against depth.
Conductors are the smallest of a catalogue that carry the normal current with a stated reserve
and hold the stated voltage. Only uniform numbers are drawn, so a seed names one network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.federation.papers.networks.mv_conductors import Section, size_sections
from gridproof.federation.papers.networks.mv_layout import Layout, lay_out
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.balanced import BalancedRows, balanced_feeder
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.restoration_scenario import restoration_scenario
from gridproof.scenarios.scenario import Scenario

__all__ = ["MvNetwork", "draw_failures", "generate_network"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MvNetwork:
    """What a generated network is to look like; the defaults are the declared 315-bus case.

    Attributes
    ----------
    seed
        Names the network.
    buses
        MV buses, substations not counted.
    substations
        HV/MV substations; 0 means one for each 79 buses, at least 4.
    demand_kw
        Total demand; 0 means 58 935 kW for each 315 buses.
    base_kv
        Line-to-line.
    source_v_pu, least_v_pu
        Voltage held at substations, and the lowest admitted anywhere in normal operation.
    buses_per_feeder, ties_per_feeder
        Mean sizes.
    reserve
        Rating over normal current, at least.
    remote, remote_ties, reclosers, underground
        Shares: of closed lines without protection, of ties, of feeders, of lines.
    """

    seed: int
    buses: int = 315
    substations: int = 0
    demand_kw: float = 0.0
    base_kv: float = 20.0
    source_v_pu: float = 1.03
    least_v_pu: float = 0.97
    buses_per_feeder: float = 18.0
    ties_per_feeder: float = 2.5
    reserve: float = 1.6
    remote: float = 0.25
    remote_ties: float = 0.6
    reclosers: float = 0.6
    underground: float = 0.3

    def __post_init__(self) -> None:
        faults = [
            f"{name} = {value} must lie in [0, 1]"
            for name in ("remote", "remote_ties", "reclosers", "underground")
            if not 0.0 <= (value := getattr(self, name)) <= 1.0
        ]
        if self.buses < 8:
            faults.append(f"buses = {self.buses} must be at least 8, for two feeders and a tie")
        if self.reserve < 1.0:
            faults.append(f"reserve = {self.reserve} must be at least 1")
        if not 0.0 < self.least_v_pu < self.source_v_pu:
            faults.append(f"least_v_pu = {self.least_v_pu} must be below source_v_pu")
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def substation_count(self) -> int:
        """Substations, with the default resolved."""
        return self.substations or max(4, round(self.buses / 79))

    @property
    def total_kw(self) -> float:
        """Demand, with the default resolved."""
        return self.demand_kw or round(58_935.0 * self.buses / 315, 1)


def generate_network(spec: MvNetwork) -> Scenario:
    """Build the network of a specification, without failures.

    Returns
    -------
    Scenario
        Buses ``ss1 …`` and ``b1 …``, lines ``l1 …`` (closed) and ``t1 …`` (open ties). All
        voltages are in band and all currents within rating before the event.

    Raises
    ------
    ValueError
        If even the largest conductors cannot hold the stated voltage.
    """
    rng = np.random.Generator(np.random.Philox(spec.seed))
    layout = lay_out(
        rng,
        buses=spec.buses,
        substations=spec.substation_count,
        buses_per_feeder=spec.buses_per_feeder,
        ties_per_feeder=spec.ties_per_feeder,
    )
    p_kw, q_kvar = _demand(rng, spec)
    cable = rng.random(len(layout.ends)) < spec.underground
    sections = size_sections(
        layout,
        p_kw,
        q_kvar,
        cable,
        base_kv=spec.base_kv,
        reserve=spec.reserve,
        source_v_pu=spec.source_v_pu,
        least_v_pu=spec.least_v_pu,
    )
    feeder = balanced_feeder(_rows(spec, layout, sections, p_kw, q_kvar))
    devices = LineDevices(
        line_ids=feeder.lines.ids,
        underground=cable,
        device=tuple((d, d) for d in _devices(rng, spec, layout, p_kw)),
    )
    return restoration_scenario(feeder.name, feeder, devices)


def draw_failures(scenario: Scenario, seed: int, count: int) -> tuple[str, ...]:
    """Draw failed lines, each equally likely, among closed overhead lines without protection.

    Raises
    ------
    ValueError
        If there are fewer such lines than asked for.
    """
    lines, devices = scenario.feeder.lines, scenario.devices
    assert devices is not None  # of a generated network
    open_to_it = np.flatnonzero(lines.closed & ~devices.underground & ~devices.protective)
    if len(open_to_it) < count:
        raise ValueError(f"{count} failures asked for; {len(open_to_it)} lines can fail")
    order = np.argsort(np.random.Generator(np.random.Philox(seed)).random(len(open_to_it)))
    return tuple(lines.ids[k] for k in open_to_it[order[:count]])


def _demand(rng: np.random.Generator, spec: MvNetwork) -> tuple[FloatArray, FloatArray]:
    """(bus,) demand of substations (none) and MV buses; tenths of a kW that sum to the total."""
    share = 0.35 + rng.random(spec.buses) ** 2 * 2.0
    p = np.round(share / share.sum() * spec.total_kw, 1)
    p[int(np.argmax(p))] += spec.total_kw - p.sum()
    q = np.round(p * (0.25 + 0.15 * rng.random(spec.buses)), 1)
    none = np.zeros(spec.substation_count)
    return np.concatenate([none, np.round(p, 1)]), np.concatenate([none, q])


def _devices(
    rng: np.random.Generator, spec: MvNetwork, layout: Layout, p_kw: FloatArray
) -> list[Device]:
    """(line,) breakers at feeder heads, reclosers halfway down, the rest remote or manual."""
    luck = rng.random(len(layout.ends))
    devices = []
    for k in range(len(layout.ends)):
        share = spec.remote if k < layout.closed_count else spec.remote_ties
        devices.append(Device.REMOTE if luck[k] < share else Device.MANUAL)
    below = layout.downstream(p_kw)
    for feeder in range(layout.feeder_count):
        lines = np.flatnonzero(layout.feeder_of_line == feeder)
        devices[lines[0]] = Device.BREAKER
        has = rng.random() < spec.reclosers
        if has and len(lines) > 3:
            half = np.abs(below[lines[1:]] - below[lines[0]] / 2)
            devices[lines[1 + int(np.argmin(half))]] = Device.RECLOSER
    return devices


def _rows(
    spec: MvNetwork, layout: Layout, sections: Section, p_kw: FloatArray, q_kvar: FloatArray
) -> BalancedRows:
    sources, count = spec.substation_count, len(layout.ends)
    names = [f"l{k + 1}" for k in range(layout.closed_count)]
    names += [f"t{k + 1}" for k in range(count - layout.closed_count)]
    return BalancedRows(
        name=f"mv{spec.buses}",
        base_kv=spec.base_kv,
        bus_ids=(
            *(f"ss{i + 1}" for i in range(sources)),
            *(f"b{i + 1}" for i in range(spec.buses)),
        ),
        line_ids=tuple(names),
        x_km=layout.xy_km[:, 0],
        y_km=layout.xy_km[:, 1],
        p_kw=p_kw,
        q_kvar=q_kvar,
        source_v_pu=np.where(np.arange(len(p_kw)) < sources, spec.source_v_pu, np.nan),
        ends=layout.ends,
        r_ohm=sections.r_ohm,
        x_ohm=sections.x_ohm,
        rating_a=sections.rating_a,
        closed=np.arange(count) < layout.closed_count,
    )
