"""What single blocks and loads weigh and how far single loads may move, in place of one for all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from gridproof.federation.config.study import ObjectiveConfig, UncertaintyConfig
from gridproof.federation.config.study_file import Origin, did_you_mean
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.sets import Box

__all__ = ["box_of", "objective_faults", "shed_usd", "spread_faults"]

_SPREADS = ("spreads", "spreads_down", "spreads_up")


def box_of(config: UncertaintyConfig, load_ids: tuple[str, ...]) -> Box:
    """Return the set of a study, (1): each uncertain load within a spread of its own.

    Of a load counts what is said of it by name, and of one side before both.

    Parameters
    ----------
    config
        The section.
    load_ids
        Loads of the feeder.
    """
    uncertain = config.of(load_ids)
    down, up = (
        np.array(
            [own.get(k, config.spreads.get(k, _either(all_, config))) for k in uncertain], float
        )
        for own, all_ in (
            (config.spreads_down, config.spread_down),
            (config.spreads_up, config.spread_up),
        )
    )
    return Box.between(uncertain, down, up)


def _either(one_side: float | None, config: UncertaintyConfig) -> float:
    return config.spread if one_side is None else one_side


def shed_usd(config: ObjectiveConfig, feeder: Feeder) -> FloatArray:
    """(block,) ``α_l`` of (16a): what a block weighs by itself, and each of its loads.

    A weight of a block's own takes the place of that of all blocks or of the substation's; the
    loads' weights come on top of either.
    """
    blocks = feeder.blocks
    weight = np.full(len(blocks.ids), config.block_weight_usd)
    weight[blocks.of_bus[feeder.sources.bus]] = config.substation_block_weight_usd
    for name, own in config.block_weights_usd.items():
        weight[blocks.ids.index(name)] = own
    each = [config.load_weights_usd.get(k, config.load_weight_usd) for k in feeder.loads.ids]
    loads = np.bincount(feeder.block_of_load, weights=each, minlength=len(weight))
    return np.asarray(weight + loads)


def objective_faults(config: ObjectiveConfig, feeder: Feeder, origin: Origin) -> list[str]:
    """Find weights of blocks and loads that the feeder, with the study's switches, lacks."""
    return [
        *_strangers(config.block_weights_usd, "block_weights_usd", feeder, origin),
        *_strangers(config.load_weights_usd, "load_weights_usd", feeder, origin),
    ]


def spread_faults(config: UncertaintyConfig, feeder: Feeder, origin: Origin) -> list[str]:
    """Find spreads of what is no load, and of loads that the study does not call uncertain."""
    known = feeder.loads.ids
    faults = [
        fault for key in _SPREADS for fault in _strangers(getattr(config, key), key, feeder, origin)
    ]
    certain = set(known) - set(config.of(known))
    return faults + [
        origin.fault(
            ("uncertainty", key, name),
            share,
            "is the spread of a load that is not uncertain",
            "list it in [uncertainty] loads, or take the spread out",
        )
        for key in _SPREADS
        for name, share in getattr(config, key).items()
        if name in certain
    ]


def _strangers(stated: Mapping[str, float], key: str, feeder: Feeder, origin: Origin) -> list[str]:
    of_blocks = key == "block_weights_usd"
    kind, known = ("block", feeder.blocks.ids) if of_blocks else ("load", feeder.loads.ids)
    return [
        origin.fault(
            ("uncertainty" if key in _SPREADS else "objective", key, name),
            value,
            f"is of {name}, which is no {kind} of feeder {feeder.name}",
            did_you_mean(name, known, f"{kind}s"),
        )
        for name, value in stated.items()
        if name not in known
    ]
