"""The feeder: what is in the ground and on the poles, as columns.

Every component kind is one table: ``ids`` and columns of equal length. Bus references are
positions into ``Feeder.buses``; across folders a component is known by its id. Phase slots
0, 1, 2 are a, b, c (OpenDSS nodes 1, 2, 3); the slots of a delta-connected component are
the pairs ab, bc, ca.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from gridproof.scenarios.arrays import SILENT, BoolArray, FloatArray, IntArray, frozen
from gridproof.scenarios.blocks import Blocks, joined
from gridproof.scenarios.load_models import LoadModel
from numpy.typing import NDArray

__all__ = [
    "Buses",
    "Capacitors",
    "Connection",
    "Feeder",
    "Lines",
    "Loads",
    "Sources",
    "Transformers",
]


class Connection(StrEnum):
    """How a component's windings or phases are connected."""

    WYE = "wye"
    DELTA = "delta"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Buses:
    """Buses.

    Attributes
    ----------
    ids
        Names, lower case, unique.
    base_kv
        (bus,) line-to-neutral voltage base, kV.
    phases
        (bus, 3) which phases the bus has.
    xy
        (bus, 2) drawing coordinates; NaN where unknown.
    angle_rad
        (bus, 3) nominal angle of each slot; balanced phases if not given. The legs of a service
        stand against each other, and it may bring phase c to slot a.
    neutral
        (bus,) whether it has a node past its phases. Columns, and the linear model, take that for
        earth; AC has it whole. False everywhere if not given.
    """

    ids: tuple[str, ...]
    base_kv: FloatArray
    phases: BoolArray
    xy: FloatArray
    angle_rad: FloatArray = field(
        default_factory=lambda: np.zeros((0, 3)),
        metadata={SILENT: lambda value: not _is_turned(value).any()},
    )
    neutral: BoolArray = field(
        default_factory=lambda: np.zeros(0, bool), metadata={SILENT: lambda value: not value.any()}
    )

    def __post_init__(self) -> None:
        n = len(self.ids)
        angle = self.angle_rad if len(self.angle_rad) else np.tile(_BALANCED, (n, 1))
        _set(self, angle_rad=frozen(angle, float, (n, 3)))
        neutral = self.neutral if len(self.neutral) else np.zeros(n, bool)
        _set(self, neutral=frozen(neutral, bool, (n,)))
        _set(self, base_kv=frozen(self.base_kv, float, (n,)))
        _set(self, phases=frozen(self.phases, bool, (n, 3)), xy=frozen(self.xy, float, (n, 2)))

    @property
    def turned(self) -> BoolArray:
        """(bus,) whether a bus's slots are something else than balanced phases."""
        return _is_turned(self.angle_rad)

    @property
    def phasor(self) -> NDArray[np.complex128]:
        """(bus, 3) nominal voltages, of magnitude 1."""
        return np.asarray(np.exp(1j * self.angle_rad), complex)

    @property
    def pair_base(self) -> FloatArray:
        """(bus, 3) nominal voltage across pairs ab, bc, ca, on the base to neutral."""
        across = 2.0 * np.abs(np.sin((self.angle_rad - np.roll(self.angle_rad, -1, axis=1)) / 2.0))
        return np.where(self.turned[:, None] & (across > 1e-6), across, np.sqrt(3.0))


_BALANCED = -2.0 * np.pi / 3.0 * np.arange(3)


def _is_turned(angle: FloatArray) -> BoolArray:
    return np.asarray((np.abs(angle - _BALANCED) > 1e-9).any(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lines:
    """Lines, switches and ties (a switch is a line that may be opened).

    Attributes
    ----------
    from_bus, to_bus
        (line,) bus positions; positive flow goes from ``from_bus`` to ``to_bus``.
    phases
        (line, 3) phases the line carries.
    r_ohm, x_ohm
        (line, 3, 3) series impedance of the whole length; rows of missing phases are 0.
    b_siemens
        (line, 3, 3) total shunt susceptance of the whole length.
    rating_a
        (line,) current rating per phase, ampere; infinite where the file states none.
    switchable
        (line,) true where a plan may decide the state.
    closed
        (line,) state in the feeder's file; a line that is not switchable keeps it.
    """

    ids: tuple[str, ...]
    from_bus: IntArray
    to_bus: IntArray
    phases: BoolArray
    r_ohm: FloatArray
    x_ohm: FloatArray
    b_siemens: FloatArray
    rating_a: FloatArray
    switchable: BoolArray
    closed: BoolArray

    def __post_init__(self) -> None:
        n = len(self.ids)
        for name in ("from_bus", "to_bus"):
            _set(self, **{name: frozen(getattr(self, name), np.int64, (n,))})
        for name in ("r_ohm", "x_ohm", "b_siemens"):
            _set(self, **{name: frozen(getattr(self, name), float, (n, 3, 3))})
        for name in ("switchable", "closed"):
            _set(self, **{name: frozen(getattr(self, name), bool, (n,))})
        _set(self, phases=frozen(self.phases, bool, (n, 3)))
        _set(self, rating_a=frozen(self.rating_a, float, (n,)))

    @property
    def unrated_ids(self) -> tuple[str, ...]:
        """Ids of the lines without a rating."""
        return tuple(self.ids[k] for k in np.flatnonzero(np.isinf(self.rating_a)).tolist())


_SHARED = (("r_shared_pu", float, 0.0), ("x_shared_pu", float, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transformers:
    """Two-winding transformers and regulators, each with a stated, constant tap.

    Attributes
    ----------
    windings
        (transformer, 3) slots that hold a winding: phases for wye, pairs for delta (an
        open-delta bank has two of three).
    from_connection, to_connection
        Connection of the ``from`` and ``to`` winding.
    from_kv, to_kv
        (transformer,) rated winding voltage as the nameplate has it (line-to-line for
        three-phase or delta windings, across the winding otherwise), kV.
    ratio
        (transformer,) per-unit voltage ratio, ``V_from = ratio · V_to`` at no load between
        the two buses' own bases, taps included. Negative where a single winding between two
        phases runs against the phase of its wye.
    r_pu, x_pu
        (transformer,) series impedance on ``rating_kva`` and ``from_kv``.
    rating_kva
        (transformer,) rating of the whole unit, all its windings together.
    regulating
        (transformer,) true if a regulator control moves its tap.
    lagging
        (transformer,) of a delta-wye unit: slot ``k`` pairs the wye's phase ``k`` with the
        delta's pair (k, k-1), not (k, k+1); false everywhere if not given.
    primary
        (transformer,) of a service, the phase (of a delta connection, the pair) its primary
        stands on, ``windings`` being the slots of its legs; -1 of others.
    r_shared_pu, x_shared_pu  (transformer,) part of a service's impedance that its legs share.
    """

    ids: tuple[str, ...]
    from_bus: IntArray
    to_bus: IntArray
    windings: BoolArray
    from_connection: tuple[Connection, ...]
    to_connection: tuple[Connection, ...]
    from_kv: FloatArray
    to_kv: FloatArray
    ratio: FloatArray
    r_pu: FloatArray
    x_pu: FloatArray
    rating_kva: FloatArray
    regulating: BoolArray
    lagging: BoolArray = field(default_factory=lambda: np.zeros(0, bool))
    primary: IntArray = field(
        default_factory=lambda: np.zeros(0, np.int64),
        metadata={SILENT: lambda value: bool((value < 0).all())},
    )
    r_shared_pu: FloatArray = field(
        default_factory=lambda: np.zeros(0), metadata={SILENT: lambda value: not value.any()}
    )
    x_shared_pu: FloatArray = field(
        default_factory=lambda: np.zeros(0), metadata={SILENT: lambda value: not value.any()}
    )

    def __post_init__(self) -> None:
        n = len(self.ids)
        for name, kind, none in (("primary", np.int64, -1), *_SHARED):
            given = getattr(self, name)
            _set(self, **{name: frozen(given if len(given) else np.full(n, none), kind, (n,))})
        lagging = self.lagging if len(self.lagging) else np.zeros(n, bool)
        _set(self, lagging=frozen(lagging, bool, (n,)))
        for name in ("from_bus", "to_bus"):
            _set(self, **{name: frozen(getattr(self, name), np.int64, (n,))})
        for name in ("from_kv", "to_kv", "ratio", "r_pu", "x_pu", "rating_kva"):
            _set(self, **{name: frozen(getattr(self, name), float, (n,))})
        _set(self, windings=frozen(self.windings, bool, (n, 3)))
        _set(self, regulating=frozen(self.regulating, bool, (n,)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loads:
    """Loads at their nominal demand.

    Attributes
    ----------
    bus
        (load,) bus positions.
    connection
        Wye slots are phases a, b, c; delta slots are pairs ab, bc, ca.
    model
        How each load follows its voltage in the feeder's file.
    slots
        (load, 3) slots the load occupies.
    p_kw, q_kvar
        (load, 3) nominal consumption per slot.
    v_rated_pu
        (load,) voltage across a slot at which the nominal consumption holds, on the base of
        the load's bus; 1 everywhere if not given. Constant power does not depend on it.
    """

    ids: tuple[str, ...]
    bus: IntArray
    connection: tuple[Connection, ...]
    model: tuple[LoadModel, ...]
    slots: BoolArray
    p_kw: FloatArray
    q_kvar: FloatArray
    v_rated_pu: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        n = len(self.ids)
        rated = self.v_rated_pu if len(self.v_rated_pu) else np.ones(n)
        _set(self, v_rated_pu=frozen(rated, float, (n,)))
        _set(self, bus=frozen(self.bus, np.int64, (n,)), slots=frozen(self.slots, bool, (n, 3)))
        _set(self, p_kw=frozen(self.p_kw, float, (n, 3)))
        _set(self, q_kvar=frozen(self.q_kvar, float, (n, 3)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capacitors:
    """Shunt impedances: capacitors that are switched in, reactors, magnetising branches.

    Attributes
    ----------
    q_kvar
        (capacitor, 3) produced per slot at rated voltage.
    v_rated_pu
        (capacitor,) rated voltage across a slot on the base of its bus; 1 if not given.
    p_kw
        (capacitor, 3) consumed per slot at rated voltage; 0 if not given.
    """

    ids: tuple[str, ...]
    bus: IntArray
    connection: tuple[Connection, ...]
    q_kvar: FloatArray
    v_rated_pu: FloatArray = field(default_factory=lambda: np.zeros(0))
    p_kw: FloatArray = field(
        default_factory=lambda: np.zeros((0, 3)), metadata={SILENT: lambda value: not value.any()}
    )

    def __post_init__(self) -> None:
        n = len(self.ids)
        rated = self.v_rated_pu if len(self.v_rated_pu) else np.ones(n)
        _set(self, p_kw=frozen(self.p_kw if len(self.p_kw) else np.zeros((n, 3)), float, (n, 3)))
        _set(self, v_rated_pu=frozen(rated, float, (n,)))
        _set(self, bus=frozen(self.bus, np.int64, (n,)))
        _set(self, q_kvar=frozen(self.q_kvar, float, (n, 3)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sources:
    """Connections to the transmission grid.

    Attributes
    ----------
    v_pu
        (source,) magnitude held behind the impedance, on the bus's base.
    r_ohm, x_ohm
        (source, 3, 3) series impedance; 0 if not given. Not part of the digest: it decides
        where a scenario lets the source feed (`scenarios.fleet.Substations`), and counts there.
    phases
        (source, 3) phases it feeds; all three if not given. Counts where the impedance does.
    """

    ids: tuple[str, ...]
    bus: IntArray
    v_pu: FloatArray
    r_ohm: FloatArray = field(default_factory=lambda: np.zeros((0, 3, 3)), compare=False)
    x_ohm: FloatArray = field(default_factory=lambda: np.zeros((0, 3, 3)), compare=False)
    phases: BoolArray = field(default_factory=lambda: np.zeros((0, 3), bool), compare=False)

    def __post_init__(self) -> None:
        n = len(self.ids)
        phases = self.phases if len(self.phases) else np.ones((n, 3), bool)
        _set(self, phases=frozen(phases, bool, (n, 3)))
        for name in ("r_ohm", "x_ohm"):
            given = getattr(self, name)
            ohm = given if len(given) else np.zeros((n, 3, 3))
            _set(self, **{name: frozen(ohm, float, (n, 3, 3))})
        _set(self, bus=frozen(self.bus, np.int64, (n,)), v_pu=frozen(self.v_pu, float, (n,)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feeder:
    """A distribution feeder, derived from the circuit that the simulator compiled.

    Attributes
    ----------
    name
        The circuit's name.
    path
        The file it was compiled from; where a feeder comes from is not part of its digest.
    blocks
        Derived: what stays connected with every switchable line open.
    """

    name: str
    path: str = field(compare=False)
    buses: Buses
    lines: Lines
    transformers: Transformers
    loads: Loads
    capacitors: Capacitors
    sources: Sources
    blocks: Blocks = field(init=False)

    def __post_init__(self) -> None:
        _set(self, blocks=_blocks(self))

    @property
    def switches(self) -> IntArray:
        """(switch,) positions in ``lines`` of the switchable ones, in order."""
        return np.flatnonzero(self.lines.switchable)

    @property
    def switch_ids(self) -> tuple[str, ...]:
        """Ids of the switchable lines, in order."""
        return tuple(self.lines.ids[k] for k in self.switches)

    @property
    def switch_blocks(self) -> IntArray:
        """(switch, 2) positions of the blocks at each switch's two ends."""
        ends = np.stack([self.lines.from_bus, self.lines.to_bus], axis=1)[self.switches]
        return self.blocks.of_bus[ends]

    @property
    def block_of_load(self) -> IntArray:
        """(load,) block position of each load."""
        return self.blocks.of_bus[self.loads.bus]


def _blocks(feeder: Feeder) -> Blocks:
    lines, transformers = feeder.lines, feeder.transformers
    fixed = lines.closed & ~lines.switchable
    return joined(
        feeder.buses.ids,
        np.concatenate([lines.from_bus[fixed], transformers.from_bus]),
        np.concatenate([lines.to_bus[fixed], transformers.to_bus]),
    )


def _set(owner: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(owner, name, value)
