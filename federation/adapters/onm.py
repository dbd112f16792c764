"""PowerModelsONM's files as plans: its output, and its robust partitions.

An *output* says of every step which switches are closed, what every device injects and what
every bus' voltage is: all of a plan. A *robust partition* says the switch states, in some
versions the grid-forming devices too, and no set-points; those are then what our planner
takes at nominal demand with these switches held.

Its conventions, read from its source: ids may carry their class (``line.671692``); a storage's
power is positive when it *charges*; voltages are named V and are kV; a substation is a
``voltage_source``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.arrays import BoolArray, FloatArray, index_of
from gridproof.scenarios.costs import counted_costs
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.strict_json import load_json

__all__ = ["is_onm", "plan_from_onm"]

_TIMELINE, _FLOW, _STATES = "Device action timeline", "Powerflow output", "Switch configurations"
_P, _Q, _V = "real power setpoint (kW)", "reactive power setpoint (kVar)", "voltage (V)"
_SIGNS = MappingProxyType({"generator": 1.0, "solar": 1.0, "voltage_source": 1.0, "storage": -1.0})
_LIVE_PU, _TOP_PU, _IDLE_KW, _HUGE = 0.5, 1.5, 1e-3, 1e12


def is_onm(document: object) -> bool:
    """Whether a JSON document is one of PowerModelsONM's that `plan_from_onm` reads."""
    if isinstance(document, dict):
        return _TIMELINE in document
    first = document[0] if isinstance(document, list) and document else None
    return isinstance(first, dict) and "configuration" in first


def plan_from_onm(text: str, scenario: Scenario, where: str = "plan") -> Plan:
    """Read a plan from an output, or from the robust partition of the best rank.

    Parameters
    ----------
    text
        JSON.
    scenario
        What the plan is for.
    where
        Name used in messages, normally the file's path.

    Raises
    ------
    ConfigError
        With every fault: a switch or device that is not the study's, or is missing; another
        number of steps; a shed load in a live block; a number that is none.
    PlanError
        If no set-points serve a robust partition.
    """
    try:
        document = load_json(text)
    except ValueError as error:
        raise ConfigError(f"{where}: cannot be read as JSON ({error})") from error
    reading = _Reading(scenario=scenario, where=where, faults=[])
    plan = reading.output(document) if isinstance(document, dict) else reading.partition(document)
    if reading.faults or plan is None:
        raise ConfigError(reading.faults)
    return replace(plan, costs=MappingProxyType(counted_costs(plan, scenario)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One file being read: what for, and what was wrong until now."""

    scenario: Scenario
    where: str
    faults: list[str]

    def output(self, document: Mapping[str, Any]) -> Plan | None:
        steps, timeline = len(self.scenario.hours), _list(document.get(_TIMELINE))
        flow = _list(document.get(_FLOW))
        for name, given in ((_TIMELINE, timeline), (_FLOW, flow)):
            if len(given) != steps:
                self._say(f"{name} has {len(given)} steps; the study has {steps}")
        if self.faults:
            return None
        closed, live, forming, held, p, q = [], [], [], [], [], []
        for step, (actions, state) in enumerate(zip(timeline, flow, strict=True)):
            at = f"step {step + 1}"
            closed.append(self._closed(_dict(actions).get(_STATES), f"{at}: {_STATES}"))
            voltage = self._voltages(_dict(_dict(state).get("bus")), at)
            live.append(self._live(voltage, at))
            self._refuse_partial_shedding(_dict(actions).get("Shedded loads"), live[-1], at)
            roles, p_kw, q_kvar = self._devices(_dict(state), at)
            forming.append(roles & live[-1][self._block_of_der])
            held.append(np.where(forming[-1], self._held(voltage), np.nan))
            p.append(p_kw)
            q.append(q_kvar)
        return self._plan(closed, live, forming, held, p, q)

    def partition(self, document: Sequence[Any]) -> Plan | None:
        """Take the best rank; its set-points are our planner's, with its switches held."""
        best = min((_dict(one) for one in document), key=lambda one: _rank(one.get("rank")))
        at = f"rank {best.get('rank')}"
        scenario = self.scenario
        closed = self._closed(best.get("configuration"), f"{at}: configuration")
        able = scenario.ders.can_form & self._named_formers(best.get("grid_forming_devices"), at)
        shed = {_bare(name) for name in _list(best.get("shed", best.get("shed_loads")))}
        for name in sorted(shed - set(scenario.feeder.loads.ids)):
            self._say(f"{at}: load {name} is not in the study")
        if self.faults:
            return None
        lines = scenario.feeder.lines
        states = lines.closed.copy()
        states[scenario.feeder.switches] = closed
        held = replace(
            scenario,
            feeder=replace(scenario.feeder, lines=replace(lines, closed=states)),
            ders=replace(scenario.ders, can_form=able),
            locked=np.ones(len(closed), bool),
        )
        plan = make_planner("partitioning", {"method": "nominal"}).plan(held)
        self._refuse_partial_shedding(sorted(shed), plan.energized[0], at)
        return replace(
            plan, family="external", scenario_digest="", proof=_nothing_proven(), costs={}
        )

    # -------------------------------------------------------------------------- parts
    @property
    def _block_of_der(self) -> Any:
        return self.scenario.feeder.blocks.of_bus[self.scenario.ders.bus]

    def _say(self, fault: str) -> None:
        self.faults.append(f"{self.where}: {fault}")

    def _closed(self, given: object, at: str) -> BoolArray:
        """(switch,) states; every switch of the study, and no other."""
        wanted = self.scenario.feeder.switch_ids
        states = {_bare(name): state for name, state in _dict(given).items()}
        for name in states.keys() - set(wanted):
            self._say(f"{at}: {name} is no switch of the study; it has {', '.join(wanted)}")
        for name in wanted:
            state = states.get(name)
            if name not in states:
                self._say(f"{at}: switch {name} is missing; state open or closed")
            elif not (isinstance(state, str) and state.lower() in ("open", "closed")):
                self._say(f"{at}: switch {name} is {str(state)[:20]!r}; state open or closed")
        return np.array([str(states.get(name)).lower() == "closed" for name in wanted], bool)

    def _held(self, voltage: FloatArray) -> FloatArray:
        """(der,) magnitudes that formers hold: at their buses; a substation's behind its own."""
        ders = self.scenario.ders
        held = voltage[ders.bus]
        if ders.substations is not None:
            held[ders.substations.at] = ders.substations.v_pu
        return held

    def _voltages(self, given: Mapping[str, Any], at: str) -> FloatArray:
        """(bus,) mean magnitude, pu; NaN where the file has none."""
        buses, found = self.scenario.feeder.buses, np.full(len(self.scenario.feeder.buses.ids), 0.0)
        known = {_bare(name): _dict(entry).get(_V) for name, entry in given.items()}
        for k, name in enumerate(buses.ids):
            values = self._numbers(known.get(name, []), f"{at}: bus {name}: {_V}")
            present = values[values > 0.0]
            level = float(present.mean()) / float(buses.base_kv[k]) if len(present) else 0.0
            found[k] = np.nan if name not in known else _either_unit(level)
            if found[k] > _TOP_PU:
                self._say(f"{at}: bus {name}: {_V} is {found[k]:.3g} times the base of the feeder")
        return found

    def _live(self, voltage: FloatArray, at: str) -> BoolArray:
        """(block,) whether the buses of each block have a voltage."""
        blocks = self.scenario.feeder.blocks
        live = np.zeros(len(blocks.ids), bool)
        for k, name in enumerate(blocks.ids):
            seen = voltage[(blocks.of_bus == k) & np.isfinite(voltage)]
            if not len(seen):
                self._say(f"{at}: no bus of block {name} has a voltage; is it this feeder?")
            live[k] = bool((seen > _LIVE_PU).any())
        return live

    def _refuse_partial_shedding(self, given: object, live: BoolArray, at: str) -> None:
        loads, position = self.scenario.feeder.loads, index_of(self.scenario.feeder.loads.ids)
        for name in map(_bare, _list(given)):
            if name not in position:
                self._say(f"{at}: shed load {name} is not in the study")
            elif live[self.scenario.feeder.blocks.of_bus[loads.bus[position[name]]]]:
                self._say(f"{at}: load {name} is shed in a live block; a plan sheds whole blocks")

    def _devices(
        self, state: Mapping[str, Any], at: str
    ) -> tuple[BoolArray, FloatArray, FloatArray]:
        """(der,) grid-forming, and (der, 3) kW and kvar, injection positive."""
        ders = self.scenario.ders
        position, count = index_of(ders.ids), len(ders.ids)
        forming, p, q = np.zeros(count, bool), np.zeros((count, 3)), np.zeros((count, 3))
        for kind, name, device in _each_device(state):
            p_kw = self._numbers(device.get(_P, []), f"{at}: {kind} {name}: {_P}")
            q_kvar = self._numbers(device.get(_Q, []), f"{at}: {kind} {name}: {_Q}")
            k = self._row(kind, name)
            if k is None or ders.ids[k] not in position:
                if kind != "voltage_source" or (np.abs(p_kw) > _IDLE_KW).any():
                    self._say(f"{at}: {kind} {name} is no DER of the study")
                continue
            position.pop(ders.ids[k])
            forming[k] = ders.is_substation[k] or device.get("inverter") == "GRID_FORMING"
            for target, values in ((p, p_kw), (q, q_kvar)):
                slots = _slots(device.get("connections"), ders.phases[k], len(values))
                if slots is None:
                    self._say(f"{at}: {kind} {name} has {len(values)} powers; state connections")
                else:
                    target[k, slots] = _SIGNS[kind] * values
        for name in position:
            k = ders.ids.index(name)
            if ders.is_substation[k]:
                forming[k] = True  # files leave out a source that feeds nothing of note
                continue
            self._say(f"{at}: DER {name} is missing; state its set-point, 0 if it rests")
        return forming, p, q

    def _named_formers(self, given: object, at: str) -> BoolArray:
        """(der,) those a partition names; all, if it names none at all."""
        ders = self.scenario.ders
        if given is None:
            return np.ones(len(ders.ids), bool)
        able = np.zeros(len(ders.ids), bool)
        for one in _list(given):
            own = str(one).lower().startswith("vsource.")
            row = self._row("voltage_source" if own else "", _bare(one))
            if row is not None:
                able[row] = True
            elif not own:
                self._say(f"{at}: grid-forming device {_bare(one)} is no DER of the study")
        sources = [str(one) for one in _list(given) if str(one).lower().startswith("vsource.")]
        if sources and not able.any():
            self._say(
                f"{at}: {', '.join(sources)} alone forms, and the study has lost its substation; "
                "take its switch out of [feeder] locked_open, or set [substation] lost = false"
            )
        return able

    def _row(self, kind: str, name: str) -> int | None:
        """Position of a device among the DERs; a source's is its substation's, if it feeds."""
        ders = self.scenario.ders
        own = ders.substations
        if kind == "voltage_source" and own is not None and name in own.source_ids:
            return int(own.at[own.source_ids.index(name)])
        return ders.ids.index(name) if name in ders.ids else None

    def _numbers(self, given: object, at: str) -> FloatArray:
        values = [one for one in _list(given) if type(one) in (int, float) and abs(one) < _HUGE]
        if len(values) != len(_list(given)) or not np.isfinite(np.array(values, float)).all():
            self._say(f"{at} holds {str(given)[:40]!r}; expected finite numbers")
            return np.zeros(0)
        return np.array(values, float)

    def _plan(self, *columns: Sequence[Any]) -> Plan:
        scenario = self.scenario
        closed, live, forming, held, p, q = (np.array(column) for column in columns)
        return Plan(
            family="external",
            scenario_digest="",
            switch_ids=scenario.feeder.switch_ids,
            block_ids=scenario.feeder.blocks.ids,
            der_ids=scenario.ders.ids,
            closed=closed,
            energized=live,
            grid_forming=forming,
            source_v_pu=held,
            p_kw=p,
            q_kvar=q,
            costs={},
            proof=_nothing_proven(),
        )


def _nothing_proven() -> Proof:
    return Proof(termination=Termination.EXTERNAL, incumbent=np.inf, bound=-np.inf)


def _each_device(state: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for kind in _SIGNS:
        for name, device in _dict(state.get(kind)).items():
            yield kind, _bare(name), _dict(device)


def _slots(connections: object, has: BoolArray, count: int) -> list[int] | None:
    """Which phases so many powers belong to; None where that cannot be said."""
    named = [k - 1 for k in _list(connections) if k in (1, 2, 3)]  # 4 is the neutral
    if len(named) >= count and connections is not None:
        return named[:count]
    own = np.flatnonzero(has).tolist()
    for slots in ([0, 1, 2], own):
        if len(slots) == count:
            return list(slots)
    return None


def _either_unit(level: float) -> float:
    """Read a level as of kV, which the files hold, or of V, which they say."""
    return level / 1000.0 if level > 1000.0 * _LIVE_PU else level


def _rank(given: object) -> float:
    return float(given) if type(given) in (int, float) else np.inf  # type: ignore[arg-type]


def _bare(name: object) -> str:
    """Return an id without its class, in lower case."""
    text = str(name).lower()
    return text.split(".", 1)[1] if "." in text else text


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []
