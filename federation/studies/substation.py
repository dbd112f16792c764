"""Which of the feeder's own sources feed, and what stands against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from gridproof.federation.config.study import FeederConfig, SubstationConfig
from gridproof.federation.config.study_file import Origin
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.graph import connected_components

__all__ = ["feeding_sources", "substation_faults"]


def feeding_sources(config: FeederConfig, section: SubstationConfig, feeder: Feeder) -> IntArray:
    """Positions of the sources that feed.

    A source is lost if the study says so, and, where it says nothing, if switches that must
    stay open leave no load within its reach.

    Parameters
    ----------
    config, section
        The study's ``[feeder]`` and ``[substation]``.
    feeder
        With the study's switches.
    """
    count = len(feeder.sources.ids)
    if section.lost is not None:
        return np.arange(0 if section.lost else count)
    ends = feeder.switch_blocks[~np.isin(feeder.switch_ids, config.locked_open)]
    label = connected_components(len(feeder.blocks.ids), ends[:, 0], ends[:, 1])
    loaded = label[feeder.block_of_load]
    return np.flatnonzero(np.isin(label[feeder.blocks.of_bus[feeder.sources.bus]], loaded))


def substation_faults(
    config: FeederConfig,
    section: SubstationConfig,
    feeder: Feeder,
    *,
    fleet: Sequence[str],
    most: int,
    origin: Origin,
) -> list[str]:
    """Find what stands against letting the sources feed that are not lost.

    Parameters
    ----------
    config, section, feeder
        As in `feeding_sources`.
    fleet
        Ids of the DERs.
    most
        How many may form one island.
    origin
        Names the study in messages.
    """
    feeding = feeding_sources(config, section, feeder)
    ids = [feeder.buses.ids[bus] for bus in feeder.sources.bus[feeding]]
    faults = [
        f"{origin.place(('ders', 'fleet', name))} has the name of the substation's bus, by which "
        "the substation is called; give the DER another"
        for name in fleet
        if name in ids
    ]
    faults += [
        f"{origin.place(('feeder', 'path'))}: {times} sources stand at bus {name}; leave one"
        for name, times in Counter(ids).items()
        if times > 1
    ]
    home = feeder.blocks.of_bus[feeder.sources.bus[feeding]]
    for block in np.unique(home):
        together = [name for name, at in zip(ids, home, strict=True) if at == block]
        if len(together) > most:
            faults.append(
                f"{origin.place(('feeder', 'switches'))} leaves the sources at buses "
                f"{', '.join(together)} joined, and each forms its island; make a line between "
                f"them a switch, or set [limits] grid_forming_per_island = {len(together)}"
            )
    return faults
