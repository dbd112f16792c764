"""Restoration after a storm: the case, what failed, and what the operator decided.

The network itself is a `Feeder`; these nouns say the rest. A phase is a position on the time
axis: before the event, after the automatic response, after remote isolation, after remote
reconfiguration. Which switch may move at which phase follows from its device alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from gridproof.scenarios.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    content_digest,
    frozen,
    index_of,
)
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.proof import Proof
from gridproof.scenarios.restoration_devices import Device, LineDevices
from gridproof.scenarios.restoration_faults import case_faults

__all__ = [
    "PHASE_NAMES",
    "RestorationCase",
    "RestorationPlan",
    "RestorationWeights",
]

PHASE_NAMES = ("before", "automatic isolation", "remote isolation", "remote reconfiguration")
"""The steps of the time axis, t = 0 to 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationWeights:
    """Weights of objective (2); the defaults are the paper's.

    Attributes
    ----------
    alpha, beta
        Weight of losses (power and nodes) and of switching.
    unserved
        ``C_ns``, per MW of load not supplied in one phase; the paper states no unit.
    lost_bus
        ``C_e``, per bus in the damaged zone in one phase.
    switching
        ``C_sw``, per change of a line's state.
    """

    alpha: float = 10.0
    beta: float = 0.1
    unserved: float = 0.5
    lost_bus: float = 1.0
    switching: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RestorationCase:
    """A feeder, its devices, its failures and what a loss is worth.

    Attributes
    ----------
    name
        The case's name.
    feeder
        Lines and loads; every line's ``closed`` is its state before the event. Modelled as
        balanced: positive-sequence impedance, three phases together.
    devices
        What each line is and how it is switched.
    failed
        (failure,) positions of the failed lines.
    ders
        Generators that may carry an island at t = 3 (``can_form``); None if there are none.
    protection_remote
        Whether the operator can move breakers and reclosers too; if not, one that opened at
        t = 1 stays open.
    weights, limits
        Objective (2) and the operating band.

    Raises
    ------
    ScenarioError
        With every contradiction between the pieces.
    """

    name: str
    feeder: Feeder
    devices: LineDevices
    failed: IntArray
    limits: Limits = field(default_factory=Limits)
    weights: RestorationWeights = field(default_factory=RestorationWeights)
    ders: Ders | None = None
    protection_remote: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "failed", frozen(self.failed, np.int64, (-1,)))
        faults = case_faults(self.name, self.feeder, self.devices, self.failed, self.limits)
        if faults:
            raise ScenarioError(faults)

    @property
    def ends(self) -> IntArray:
        """(line, 2) bus positions of each line's two ends."""
        return np.stack([self.feeder.lines.from_bus, self.feeder.lines.to_bus], axis=1)

    @property
    def substation(self) -> BoolArray:
        """(bus,) true where the feeder meets the transmission grid: ``s_i``."""
        mask = np.zeros(len(self.feeder.buses.ids), bool)
        mask[self.feeder.sources.bus] = True
        return mask

    @property
    def forming(self) -> IntArray:
        """Positions in ``ders`` of those that can carry an island."""
        return np.flatnonzero(self.ders.can_form) if self.ders else np.zeros(0, np.int64)

    @property
    def operable_end(self) -> BoolArray:
        """(line, 2) ends the operator can move from the control room."""
        guards = (Device.RECLOSER, Device.BREAKER) if self.protection_remote else ()
        return self.devices.is_any(Device.REMOTE, *guards)

    @property
    def operable(self) -> BoolArray:
        """(line,) lines whose state the operator can change from the control room.

        A line needs an operable end, and each end that is not must be closed before the event:
        a manual end that stands open keeps the line open.
        """
        moves = self.operable_end
        held_open = ~moves & ~self.feeder.lines.closed[:, None]
        return np.asarray(moves.any(axis=1) & ~held_open.any(axis=1), bool)

    def bus_demand(self) -> tuple[FloatArray, FloatArray]:
        """(bus,) nominal active (kW) and reactive (kvar) demand, three phases together."""
        loads, size = self.feeder.loads, len(self.feeder.buses.ids)
        p, q = np.zeros(size), np.zeros(size)
        np.add.at(p, loads.bus, loads.p_kw.sum(axis=1))
        np.add.at(q, loads.bus, loads.q_kvar.sum(axis=1))
        return p, q

    def impedance_ohm(self) -> tuple[FloatArray, FloatArray]:
        """(line,) resistance and reactance of the balanced model, ohm.

        ``3/n (mean self - mean mutual)`` over the n phases a line has: the positive sequence of
        a line of three, and of one of fewer what drops its own phases' voltage as much when
        they carry all its load.
        """
        lines = self.feeder.lines
        has = lines.phases.astype(float)
        count = has.sum(axis=1)
        own = np.eye(3)[None] * has[:, :, None]
        cross = has[:, :, None] * has[:, None, :] * (1.0 - np.eye(3))
        pairs = np.maximum(cross.sum(axis=(1, 2)), 1.0)
        return tuple(
            3.0
            / count
            * ((z * own).sum(axis=(1, 2)) / count - (z * cross).sum(axis=(1, 2)) / pairs)
            for z in (lines.r_ohm, lines.x_ohm)
        )

    def rating_mva(self) -> FloatArray:
        """(line,) apparent power of all phases together at nominal voltage."""
        lines, base = self.feeder.lines, self.feeder.buses.base_kv[self.feeder.lines.from_bus]
        rating: FloatArray = lines.phases.sum(axis=1) * base * lines.rating_a / 1e3
        return rating

    def with_failures(self, line_ids: Sequence[str], *, buried: int = 0) -> RestorationCase:
        """Let other lines fail in the same network; the first ``buried`` are made remote cables.

        Only kind and devices change, not impedances, so that cases differ in switching alone.

        Raises
        ------
        ScenarioError
            If a failure names a line the feeder does not have.
        """
        where = index_of(self.feeder.lines.ids)
        unknown = [name for name in line_ids if name not in where]
        if unknown:
            raise ScenarioError(
                [f"{self.name}: failures: line {k!r} is not in the feeder; name one that is"
                 for k in unknown]
            )  # fmt: skip
        failed = np.array([where[name] for name in line_ids], np.int64)
        device, cable = list(self.devices.device), self.devices.underground.copy()
        for k in failed[:buried].tolist():
            device[k], cable[k] = (Device.REMOTE, Device.REMOTE), True
        return RestorationCase(
            name=self.name,
            feeder=self.feeder,
            devices=LineDevices(
                line_ids=self.devices.line_ids, underground=cable, device=tuple(device)
            ),
            failed=failed,
            limits=self.limits,
            weights=self.weights,
            ders=self.ders,
            protection_remote=self.protection_remote,
        )

    def digest(self) -> str:
        """SHA-256 over everything that can change a plan."""
        return content_digest(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RestorationPlan:
    """What was decided and what it means, at every phase.

    Attributes
    ----------
    closed
        (time, line) state of each line.
    end_closed
        (time, line, 2) state of each line end; an overhead line's two are its state.
    available
        (time, bus) true outside the damaged zone: ``a``.
    energized
        (time, bus) true where supplied: ``y``.
    forming
        (time, der) true where a DER carries an island: ``y_dg``.
    served_kw
        (time, bus) load supplied.
    costs
        Terms of objective (2): ``unserved``, ``lost_buses``, ``switching``, ``total``.
    proof
        What was shown; its costs are in the objective's own unit.
    """

    case_digest: str
    closed: BoolArray
    end_closed: BoolArray
    available: BoolArray
    energized: BoolArray
    forming: BoolArray
    served_kw: FloatArray
    costs: Mapping[str, float]
    proof: Proof

    def __post_init__(self) -> None:
        shapes: dict[str, tuple[type, tuple[int, ...]]] = {
            "closed": (bool, (4, -1)),
            "end_closed": (bool, (4, -1, 2)),
            "available": (bool, (4, -1)),
            "energized": (bool, (4, -1)),
            "forming": (bool, (4, -1)),
            "served_kw": (float, (4, -1)),
        }
        for name, (kind, shape) in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind, shape))

    def supplied_share(self, case: RestorationCase) -> FloatArray:
        """(time,) load supplied as a share of all load."""
        share: FloatArray = self.served_kw.sum(axis=1) / case.bus_demand()[0].sum()
        return share
