"""A study for a feeder that has none: proposed from the file, every assumption told beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from gridproof.federation.config.study_file import did_you_mean
from gridproof.federation.inquiries.feeder_facts import LADEN, FeederFacts
from gridproof.federation.inquiries.feeder_tree import looped_switches, splits
from gridproof.federation.jsonable import Jsonable
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.feeder import Feeder
from gridproof.simulator.reader.machines import Machine

__all__ = ["Proposal", "ProposedDer", "propose", "study_text"]

_MOST_DERS, _MOST_LOADS = 12, 6
_MOST_OVERLOADS = 3
_LOWER, _HIGHER = 0.4, 0.1  # of a long fall, below and above: for loads off nominal, taps fixed
_HEADROOM = 1.4  # of what is laden in the file: for loads above nominal at voltages below it
_FAR_PU = 0.01  # of the linear model from AC
_SPARE = 1.3  # capacity of a proposed DER by thrice the largest phase of its block's load


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedDer(Jsonable):
    """A DER of the proposed study.

    Attributes
    ----------
    origin
        Machine of the file that it is taken from; empty for one that is assumed.
    """

    name: str
    bus: str
    phases: str
    capacity_kw: float
    rating_kva: float
    can_form: bool
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal(Jsonable):
    """What a new study says.

    Attributes
    ----------
    lost
        Switch that stands open for good; empty where the grid is there.
    switches
        Lines a plan may move; ``assumed_switches`` of them are no switches of the file.
    doubts
        What whoever runs the study should look at.
    """

    feeder: str
    lost: str
    switches: tuple[str, ...]
    assumed_switches: tuple[str, ...]
    ders: tuple[ProposedDer, ...]
    uncertain_loads: tuple[str, ...]
    v_min_pu: float
    v_max_pu: float
    doubts: tuple[str, ...]


def propose(
    feeder: Feeder, facts: FeederFacts, machines: tuple[Machine, ...], lost: str = ""
) -> Proposal:
    """Propose a study of a feeder.

    Parameters
    ----------
    feeder, facts, machines
        What was read of its file.
    lost
        Line whose opening loses the grid.

    Raises
    ------
    ConfigError
        If the feeder has no such line.
    """
    lost = lost.lower().removeprefix("line.")
    if lost and lost not in feeder.lines.ids:
        near = did_you_mean(lost, feeder.lines.ids, "lines")
        raise ConfigError(f"--lost {lost}: is no line of feeder {feeder.name}; {near}")
    doubts: list[str] = []
    looped = looped_switches(feeder, lost)
    own = tuple(name for name in feeder.switch_ids if name not in looped)
    if looped:
        doubts.append(
            f"{len(looped)} of the file's {len(feeder.switch_ids)} switches stand closed in loops, "
            f"which a radial plan would open: lines here, and closed ({', '.join(looped[:3])}"
            f"{', …' * (len(looped) > 3)})"
        )
    assumed = () if set(own) - {lost} else splits(feeder, lost)
    if assumed:
        doubts.append(
            f"the file has no switch; proposed because it divides the load: {', '.join(assumed)}"
        )
    switches = tuple(dict.fromkeys((*own, *assumed, *((lost,) if lost else ()))))
    lines = replace(feeder.lines, switchable=np.isin(feeder.lines.ids, switches))
    block = replace(feeder, lines=lines).blocks.of_bus
    ders = _from_machines(feeder, machines, doubts)
    if lost and not any(der.can_form for der in ders):
        ders = (*ders, _assumed_der(feeder, block, doubts))
    low, high = _band(facts, doubts)
    doubts += _more_doubts(feeder, facts)
    largest = np.argsort(-feeder.loads.p_kw.sum(axis=1), kind="stable")[:_MOST_LOADS]
    return Proposal(
        feeder=feeder.path,
        lost=lost,
        switches=switches,
        assumed_switches=assumed,
        ders=ders,
        uncertain_loads=tuple(feeder.loads.ids[k] for k in largest),
        v_min_pu=low,
        v_max_pu=high,
        doubts=tuple(doubts),
    )


def _from_machines(
    feeder: Feeder, machines: tuple[Machine, ...], doubts: list[str]
) -> tuple[ProposedDer, ...]:
    place = {name: k for k, name in enumerate(feeder.buses.ids)}
    turned, found, names = feeder.buses.turned, list[ProposedDer](), set[str]()
    able = sorted(machines, key=lambda one: -one.capacity_kw)
    for one in able:
        at = place.get(one.bus, -1)
        if at < 0 or not one.phases or one.capacity_kw <= 0.0 or turned[at]:
            continue
        if len(found) == _MOST_DERS:
            break
        name = one.name if one.name not in names | set(place) else f"{one.kind}-{one.name}"
        names.add(name)
        three = one.phases == "abc"
        found.append(
            ProposedDer(
                name=name,
                bus=one.bus,
                phases=one.phases,
                capacity_kw=one.capacity_kw,
                rating_kva=one.rating_kva,
                can_form=three and one.kind in {"generator", "storage"},
                origin=f"{one.kind}.{one.name}",
            )
        )
    left = len(machines) - len(found)
    if left:
        doubts.append(
            f"{left} of the file's {len(machines)} machines are left out: the smaller ones, and "
            "those on split-phase services or on no phase"
        )
    return tuple(found)


def _assumed_der(feeder: Feeder, block: IntArray, doubts: list[str]) -> ProposedDer:
    """Return a DER that could carry the block with the most load, but for the source's."""
    load = np.zeros((int(block.max()) + 1, 3))
    np.add.at(load, block[feeder.loads.bus], feeder.loads.p_kw)
    load = 3.0 * load.max(axis=1)  # each phase carries an equal part of a DER
    three = feeder.buses.phases.all(axis=1) & ~feeder.buses.turned
    three[feeder.sources.bus] = False
    if not three.any():
        raise ConfigError(
            f"{feeder.path}: no bus but the source's has three phases, so nothing can form an "
            "island; leave --lost out"
        )
    home = max(np.flatnonzero(three).tolist(), key=lambda bus: (load[block[bus]], -bus))
    medium = feeder.buses.base_kv[three].max()
    near = np.flatnonzero(three & (block == block[home]) & (feeder.buses.base_kv == medium))
    bus = int(near[0]) if len(near) else int(home)
    kw = float(np.ceil(max(_SPARE * load[block[bus]], 1.0)))
    doubts.append(
        f"no machine of the file could form an island; battery at bus {feeder.buses.ids[bus]} is "
        f"assumed, {kw:g} kW, {_SPARE:g} times thrice its block's largest phase"
    )
    return ProposedDer(
        name="battery",
        bus=feeder.buses.ids[bus],
        phases="abc",
        capacity_kw=kw,
        rating_kva=kw,
        can_form=True,
        origin="",
    )


def _band(facts: FeederFacts, doubts: list[str]) -> tuple[float, float]:
    low, high = 0.95, 1.05
    if facts.v_min_pu is not None and facts.v_max_pu is not None:
        as_low = np.floor(facts.v_min_pu * 100.0 - 1.0) / 100.0
        as_high = np.ceil(facts.v_max_pu * 100.0 + 1.0) / 100.0
        wider = min(low, as_low), max(high, as_high)
        if as_low < low:  # far from the source: loads off nominal move what is there a good deal
            fall = facts.v_max_pu - facts.v_min_pu
            wider = (
                min(as_low, np.floor((facts.v_min_pu - _LOWER * fall) * 100.0) / 100.0),
                max(as_high, np.ceil((facts.v_max_pu + _HIGHER * fall) * 100.0) / 100.0),
            )
        if wider != (low, high):
            doubts.append(
                f"the file as it stands has {facts.v_min_pu:.4f} pu at bus {facts.v_min_bus} and "
                f"{facts.v_max_pu:.4f} at {facts.v_max_bus}; the band holds both, and what loads "
                "off nominal move"
            )
        low, high = float(max(wider[0], 0.5)), float(min(wider[1], 1.5))
    return low, high


def _more_doubts(feeder: Feeder, facts: FeederFacts) -> list[str]:
    found = list(facts.agreement.remarks)
    found += [
        f"{one} in the file as it stands; it is given {_HEADROOM:g} times what it carries"
        for one in facts.overloads[:_MOST_OVERLOADS]
    ]
    if len(facts.laden) > _MOST_OVERLOADS:
        found.append(
            f"{len(facts.laden)} lines and transformers carry more than {LADEN:.0%} of their "
            f"rating, {len(facts.overloads)} of them more than all of it: each is given "
            f"{_HEADROOM:g} times what it carries, under [limits]"
        )
    shut = ~feeder.lines.closed & ~feeder.lines.switchable
    if shut.any():
        names = [feeder.lines.ids[k] for k in np.flatnonzero(shut)]
        found.append(
            f"{len(names)} lines stand open in the file and are no switches: {', '.join(names[:3])}"
            f"{', …' * (len(names) > 3)}; what lies behind them alone stays dead"
        )
    unrated = len(facts.unrated_lines)
    if unrated:
        found.append(
            f"{unrated} of {len(feeder.lines.ids)} lines have no rating in the file and are held "
            "to none; [limits] line_rating_a gives every line one"
        )
    if _is_far(facts):
        found.append(
            f"the flat linear model is {facts.agreement.linear_pu:.1e} pu from AC on the file as "
            "it stands: plans may be infeasible in AC by as much; [planner] linearise, ac_margin"
        )
    found += [
        f"loop without a switch: {', '.join(loop[:6])}{', …' * (len(loop) > 6)}"
        for loop in facts.loops[:3]
    ]
    return found


def _is_far(facts: FeederFacts) -> bool:
    """Whether the flat linear model is far from AC on the file as it stands."""
    apart = facts.agreement.linear_pu
    return apart is not None and apart > _FAR_PU


def study_text(proposal: Proposal, feeder_path: str, facts: FeederFacts) -> str:
    """Set a proposal as a study file.

    Parameters
    ----------
    proposal
        What it says.
    feeder_path
        The feeder's file, as the study names it.
    facts
        What is in that file; told as comments.
    """
    fed = "the grid is lost" if proposal.lost else "the grid feeds it"
    lines = [
        f"# Proposed from {Path(feeder_path).name}: {facts.nodes} nodes, {facts.load_kw:.0f} kW in "
        f"{len(facts.blocks)} blocks; {fed}.",
        "# What follows was assumed; change what you know better.",
        *(f"# doubt: {_plain(doubt)}" for doubt in proposal.doubts),
        "",
        "[study]",
        f"title = {_quoted(f'{facts.name}: {fed}')}",
        "",
        "[feeder]",
        f"path = {_quoted(feeder_path)}",
        f"switches = {_listed(proposal.switches)}",
        *([f"locked_open = {_listed((proposal.lost,))}"] if proposal.lost else []),
        'load_model = "constant_power"  # "as_modelled": as the file has them',
        "",
        "[limits]",
        f"v_min_pu = {proposal.v_min_pu:g}",
        f"v_max_pu = {proposal.v_max_pu:g}",
        *_wider_ratings(facts),
        "",
        "[substation]",
        f"lost = {str(bool(proposal.lost)).lower()}",
        "",
        "[ders.defaults]",
        "reactive_limit = 0.75  # |q| of a phase, as a share of its active capacity",
        "ramp = 0.30            # re-dispatch of a phase, as a share of its active capacity",
        "",
        "[ders.fleet]",
        *(_der_line(der) for der in proposal.ders),
        "",
        *(
            [
                "[planner]",
                f'linearise = "ac"  # the flat model is {facts.agreement.linear_pu:.1e} pu off',
                "",
            ]
            if _is_far(facts) and not proposal.lost
            else []
        ),
        "[uncertainty]  # the largest loads",
        f"loads = {_listed(proposal.uncertain_loads)}",
        "spread = 0.10",
        "",
        "[campaign]",
        "samples = 200",
        "seed = 1",
        'recourse = "linear"',
        'judge = "ac"',
    ]
    return "\n".join(lines) + "\n"


def _wider_ratings(facts: FeederFacts) -> list[str]:
    """Ratings of what is overloaded in the file as it stands, since none could be served else."""
    lines = []
    for kind, key in (("line", "line_ratings_a"), ("transformer", "transformer_ratings_kva")):
        mine = [one for one in facts.laden if one.kind == kind]
        if mine:
            lines += ["", f"[limits.{key}]  # {_HEADROOM:g} times what each carries in the file"]
            lines += [
                f"{_quoted(one.name)} = {np.ceil(_HEADROOM * one.carried):.0f}"
                f"  # the file's: {one.rated:g}"
                for one in mine
            ]
    return lines


def _der_line(der: ProposedDer) -> str:
    keys = [f"bus = {_quoted(der.bus)}", f"capacity_kw = {der.capacity_kw:g}"]
    if der.rating_kva > der.capacity_kw:
        keys.append(f"rating_kva = {der.rating_kva:g}")
    if der.phases != "abc":
        keys.append(f"phases = {_quoted(der.phases)}")
    keys.append(f"can_form = {str(der.can_form).lower()}")
    told = _plain(der.origin) or "assumed"
    return f"{_quoted(der.name)} = {{ {', '.join(keys)} }}  # {told}"


def _listed(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(_quoted(name) for name in names) + "]"


def _quoted(text: str) -> str:
    """Text as a TOML string; JSON's escapes are TOML's, once its own control characters are."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _plain(text: str) -> str:
    """Text that a comment can hold."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
