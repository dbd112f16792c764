"""The nouns as numeric messages and back: one codec for each side's scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gridproof.federation.wire.frames import Frame, FrameKind, Header, decode, encode, finite, now
from gridproof.federation.wire.messages import Catalogue, Column, catalogue_of
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.carried import Carried, start
from gridproof.scenarios.errors import FederationError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import MarginKind, Outcome, Verdicts, kinds_of
from numpy.typing import NDArray

__all__ = ["Codec", "split"]

Columns = tuple[Column, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Codec:
    """Packs and reads the four numeric messages of one scenario.

    Use `Codec.of`. Rows are as the catalogue lists them; a slot an element does not have
    is not sent, and is 0 (NaN for voltages) when read.

    Attributes
    ----------
    scenario, catalogue
        What the numbers mean.
    clock
        Stamps send times, seconds since 1970.
    forming
        (time, der) those that a plan makes grid-forming; set-points must say what they hold.
    """

    scenario: Scenario
    catalogue: Catalogue
    clock: Callable[[], float] = now
    forming: BoolArray | None = None

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        realizations_total: int = 0,
        clock: Callable[[], float] = now,
        steps: tuple[int, ...] = (0,),
    ) -> Codec:
        """Return the codec of a scenario, some steps of which are tried."""
        catalogue = catalogue_of(scenario, realizations_total, steps)
        return cls(scenario=scenario, catalogue=catalogue, clock=clock)

    def holding(self, plan: Plan) -> Codec:
        """Return the codec of set-points under a plan."""
        return replace(self, forming=plan.grid_forming)

    def agree(self, other: Catalogue, port: str) -> None:
        """Hold the peer's catalogue against our own.

        Raises
        ------
        FederationError
            Naming the first difference.
        """
        own = self.catalogue
        digests = (other.scenario_digest, own.scenario_digest)
        if "" not in digests and digests[0] != digests[1]:
            raise FederationError(
                f"{port}: scenario_digest is {digests[0][:12]}…, ours is {digests[1][:12]}…; "
                "run both federates from the same study file"
            )
        for name in (
            "time_steps",
            "steps",
            "realizations",
            "setpoints",
            "measurements",
            "verdicts",
        ):
            theirs, ours = getattr(other, name), getattr(own, name)
            if theirs != ours:
                raise FederationError(f"{port}: {name} differ: {_difference(theirs, ours)}")

    # ------------------------------------------------------------------ realizations
    def pack_realizations(
        self,
        batch: Realizations,
        *,
        sequence: int,
        round: int = 0,
        step: int = 0,
        carried: Carried | None = None,
    ) -> bytes:
        """Return the bytes of one step of a batch, and of what it brings into the step.

        Raises
        ------
        FederationError
            On a gap in ``index``.
        """
        held, fleet = self.scenario.feeder.loads.slots, self.scenario.fleet
        shares = len(self.scenario.share_direction_ids)
        columns = [
            batch.zeta_at(step)[:, :shares],
            *(_sent(demand, held) for demand in batch.demand_at(step)),
        ]
        if fleet.renewables.ids:
            columns.append(batch.available_at(step))
        if not self.scenario.disturbances.empty:
            columns.append(batch.zeta_at(step)[:, shares:])
        if fleet.carries:
            brought = start(self.scenario, len(batch)) if carried is None else carried
            before = np.nan_to_num(brought.p_kw, nan=0.0)
            columns += [brought.energy_kwh, _sent(before, self.scenario.ders.phases)]
        header = _header(FrameKind.REALIZATIONS, batch.index, sequence, round, step)
        return encode(header, columns, clock=self.clock)

    def read_realizations(self, payload: bytes, port: str) -> tuple[Header, Realizations]:
        """Read a batch; raises `FederationError` on anything but finite numbers."""
        columns = self.catalogue.realizations
        frame = self._frame(payload, FrameKind.REALIZATIONS, columns, port, strict=True)
        zeta, p, q, *rest = split(frame.rows, columns)
        held = self.scenario.feeder.loads.slots
        available = rest.pop(0) if self.scenario.fleet.renewables.ids else np.zeros((len(p), 0))
        if not self.scenario.disturbances.empty:
            zeta = np.hstack([zeta, rest.pop(0)])
        return frame.header, Realizations(
            index=_index(frame.header),
            zeta=zeta,
            p_kw=_placed(p, held)[:, None],
            q_kvar=_placed(q, held)[:, None],
            available_kw=available[:, None],
            first_step=self._step(frame.header, port),
        )

    def read_carried(self, payload: bytes, port: str) -> Carried | None:
        """Read what a batch brings into its step; None where nothing is ever carried."""
        if not self.scenario.fleet.carries:
            return None
        columns = self.catalogue.realizations
        frame = self._frame(payload, FrameKind.REALIZATIONS, columns, port, strict=True)
        energy, before = split(frame.rows, columns)[-2:]
        p_kw = _placed(before, self.scenario.ders.phases)
        first = frame.header.step == self.catalogue.steps[0]
        return Carried(energy_kwh=energy, p_kw=np.full_like(p_kw, np.nan) if first else p_kw)

    # -------------------------------------------------------------------- set-points
    def pack_setpoints(
        self, answer: Setpoints, *, sequence: int, round: int = 0, step: int = 0
    ) -> bytes:
        """Return an answer's bytes."""
        has, able = self.scenario.ders.phases, self.scenario.ders.can_form
        if not np.isnan(answer.source_v_pu[:, ~able]).all():
            raise FederationError("a set-point gives a DER a source voltage that cannot form")
        columns: list[NDArray[Any]] = [
            answer.found[:, None],
            _sent(answer.p_kw, has),
            _sent(answer.q_kvar, has),
            np.nan_to_num(answer.source_v_pu[:, able], nan=0.0),
        ]
        header = _header(FrameKind.SETPOINTS, answer.index, sequence, round, step)
        return encode(header, columns, clock=self.clock)

    def read_setpoints(
        self, payload: bytes, port: str, index: IntArray | None = None
    ) -> tuple[Header, Setpoints]:
        """Read an answer; raises `FederationError` on anything but finite numbers.

        ``index`` says which realizations its rows answer, where they do not run without gaps.
        """
        columns = self.catalogue.setpoints
        frame = self._frame(payload, FrameKind.SETPOINTS, columns, port, strict=True)
        found, p, q, held = split(frame.rows, columns)
        if not np.isin(found, (0.0, 1.0)).all():
            raise FederationError(f"{port}: found holds {np.unique(found)[:4]}; expected 0 or 1")
        has, able = self.scenario.ders.phases, self.scenario.ders.can_form
        source = np.full((len(frame.rows), len(able)), np.nan)
        source[:, able] = np.where(held == 0.0, np.nan, held)
        step = self._step(frame.header, port)
        if self.forming is not None and np.isnan(source[:, self.forming[step]]).any():
            raise FederationError(
                f"{port}: source_v is 0 for a DER that the plan makes grid-forming; expected the "
                "magnitude it holds, pu"
            )
        return frame.header, Setpoints(
            index=_index(frame.header) if index is None else _rows_of(frame, index, port),
            found=found[:, 0] == 1.0,
            p_kw=_placed(p, has),
            q_kvar=_placed(q, has),
            source_v_pu=source,
        )

    # ------------------------------------------------------------------ measurements
    def pack_measurements(
        self, seen: Snapshots, *, sequence: int, round: int = 0, step: int = 0
    ) -> bytes:
        """Return solved states' bytes."""
        feeder, ders = self.scenario.feeder, self.scenario.ders
        phases = feeder.buses.phases
        columns = [
            seen.index[:, None],
            np.stack([seen.converged, seen.iterations], axis=1),
            seen.v_pu[:, phases],
            seen.v_ll_pu[:, _pairs(phases)],
            seen.current_a[:, feeder.lines.phases],
            seen.transformer_kva,
            seen.der_p_kw[:, ders.phases],
            seen.der_q_kvar[:, ders.phases],
            np.stack([seen.delivered_kw, seen.requested_kw, seen.losses_kw], axis=1),
        ]
        header = _header(FrameKind.MEASUREMENTS, seen.index, sequence, round, step)
        return encode(header, columns, clock=self.clock)

    def read_measurements(self, payload: bytes, port: str) -> tuple[Header, Snapshots]:
        """Read solved states; a number that was not solved for is NaN."""
        columns = self.catalogue.measurements
        frame = self._frame(payload, FrameKind.MEASUREMENTS, columns, port, strict=False)
        index, solved, v, v_ll, current, kva, p, q, system = split(frame.rows, columns)
        feeder, ders = self.scenario.feeder, self.scenario.ders
        phases = feeder.buses.phases
        return frame.header, Snapshots(
            index=_whole(index[:, 0], port),
            converged=solved[:, 0] == 1.0,
            iterations=solved[:, 1].astype(np.int64),
            v_pu=_placed(v, phases, np.nan),
            v_ll_pu=_placed(v_ll, _pairs(phases), np.nan),
            current_a=_placed(current, feeder.lines.phases),
            transformer_kva=kva,
            der_p_kw=_placed(p, ders.phases),
            der_q_kvar=_placed(q, ders.phases),
            delivered_kw=system[:, 0],
            requested_kw=system[:, 1],
            losses_kw=system[:, 2],
        )

    # ---------------------------------------------------------------------- verdicts
    def pack_verdicts(
        self, verdicts: Verdicts, *, sequence: int, round: int = 0, step: int = 0
    ) -> bytes:
        """Return verdicts' bytes."""
        kinds = _places(self.scenario)
        columns: list[NDArray[Any]] = [
            verdicts.outcome[:, None],
            verdicts.margin[:, kinds],
            verdicts.element[:, kinds],
            verdicts.phase[:, kinds],
        ]
        header = _header(FrameKind.VERDICTS, verdicts.index, sequence, round, step)
        return encode(header, columns, clock=self.clock)

    def read_verdicts(self, payload: bytes, port: str) -> tuple[Header, Verdicts]:
        """Read verdicts; margins may be NaN or infinite, the rest are whole numbers."""
        columns = self.catalogue.verdicts
        frame = self._frame(payload, FrameKind.VERDICTS, columns, port, strict=False)
        outcome, margin, element, phase = split(frame.rows, columns)
        if not np.isin(outcome, list(Outcome)).all():
            raise FederationError(
                f"{port}: outcome holds a code that is none of 0 to {max(Outcome)}"
            )
        for name, part in (("element", element), ("phase", phase)):
            if not (np.isfinite(part) & (part == np.trunc(part)) & (part >= -1)).all():
                raise FederationError(f"{port}: {name} must be whole numbers from -1 upward")
        kinds, shape = _places(self.scenario), (len(outcome), len(MarginKind))
        whole = {
            "margin": np.full(shape, np.inf),  # of a kind that there is none of
            "element": np.full(shape, -1, np.int64),
            "phase": np.full(shape, -1, np.int64),
        }
        for name, part in (("margin", margin), ("element", element), ("phase", phase)):
            whole[name][:, kinds] = part
        return frame.header, Verdicts(
            index=_index(frame.header), outcome=outcome[:, 0].astype(np.int64), **whole
        )

    def _step(self, header: Header, port: str) -> int:
        if header.step not in self.catalogue.steps:
            tried = ", ".join(map(str, self.catalogue.steps))
            raise FederationError(f"{port}: step is {header.step}; the catalogue tries {tried}")
        return header.step

    def _frame(
        self, payload: bytes, kind: FrameKind, columns: Columns, port: str, *, strict: bool
    ) -> Frame:
        width = sum(column.width for column in columns)
        frame = decode(payload, kind=kind, width=width, port=port)
        if strict:
            finite(frame.rows, port, [(column.quantity, column.width) for column in columns])
        return frame


def _header(kind: FrameKind, index: IntArray, sequence: int, round_: int, step: int) -> Header:
    """Say which realizations; those of a further round may have gaps."""
    first, count = (int(index[0]) if len(index) else 0), len(index)
    if not round_ and not np.array_equal(index, np.arange(first, first + count)):
        raise FederationError(
            f"a batch of {kind.name.lower()} must run without gaps; found indices {index[:5]}…"
        )
    return Header(kind=kind, sequence=sequence, first=first, count=count, round=round_, step=step)


def _places(scenario: Scenario) -> list[int]:
    """Positions in `MarginKind` of the kinds a scenario has."""
    every = list(MarginKind)
    return [every.index(kind) for kind in kinds_of(scenario)]


def _index(header: Header) -> IntArray:
    return np.arange(header.first, header.first + header.count)


def _rows_of(frame: Frame, index: IntArray, port: str) -> IntArray:
    if len(frame.rows) != len(index):
        raise FederationError(
            f"{port}: {len(frame.rows)} rows answer {len(index)} rows of measurements"
        )
    return index


def _whole(index: FloatArray, port: str) -> IntArray:
    """Read indices that a message of floats carries: exact below 2^53."""
    if not (np.isfinite(index) & (index == np.trunc(index)) & (index >= 0.0)).all():
        raise FederationError(f"{port}: index must be whole numbers from 0 upward")
    return index.astype(np.int64)


def split(rows: FloatArray, columns: Columns) -> list[FloatArray]:
    """Take (row, channel) apart by columns."""
    return np.split(rows, np.cumsum([column.width for column in columns])[:-1], axis=1)


def _sent(values: FloatArray, has: BoolArray) -> FloatArray:
    """(…, element, 3) to (…, channel); a number in a slot that is not there is a mistake."""
    if np.any(values[..., ~has]):
        raise FederationError("a number other than 0 stands in a slot its element does not have")
    return np.asarray(values[..., has])


def _placed(values: FloatArray, has: BoolArray, elsewhere: float = 0.0) -> FloatArray:
    """(…, channel) back to (…, element, 3)."""
    whole = np.full((*values.shape[:-1], *has.shape), elsewhere)
    whole[..., has] = values
    return whole


def _pairs(phases: BoolArray) -> BoolArray:
    return np.asarray(phases & np.roll(phases, -1, axis=1))


def _difference(theirs: object, ours: object) -> str:
    if isinstance(theirs, tuple) and isinstance(ours, tuple) and len(theirs) == len(ours):
        for one, other in zip(theirs, ours, strict=True):
            if one != other:
                return f"{_short(one)}, ours {_short(other)}"
    return f"{_short(theirs)}, ours {_short(ours)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 160 else f"{text[:157]}…"
