# %% [markdown]
# # Your own optimizer, tried against AC physics
#
# gridproof does not care who planned. Here an optimizer of forty lines decides which blocks of the
# IEEE 37-node feeder live on after the substation is lost: it starts from the blocks that a DER of
# their own can carry, and joins islands while that brings a dead block to life. It knows the feeder
# as one copper plate per island: no line, no voltage. Whether that was enough, AC says.
#
# Run it as a script, or open it as a notebook (cells are marked with `# %%`).

# %%
from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

import gridproof as gp

SAMPLES = 200

# %% [markdown]
# ## What an optimizer may know
#
# A study is a feeder, what can be moved on it, and how far its loads may differ from nominal.

# %%
study = gp.load("ieee37-networked")
scenario = study.scenario
feeder, ders = scenario.feeder, scenario.ders
print(study)

# %% [markdown]
# Demand of each block on each phase, at the greatest that the study's set allows. The feeder's
# loads stand between two phases; of the power between a and b, phase a sees `v_a / (v_a - v_b)`.

# %%
v = np.exp(-2j * np.pi / 3 * np.arange(3))
seen = v / (v - np.roll(v, -1))
spread = dict(zip(scenario.uncertainty.load_ids, scenario.uncertainty.spread, strict=True))
greatest = 1.0 + np.array([spread.get(load, 0.0) for load in feeder.loads.ids])
between = (scenario.load_p_kw[0] + 1j * scenario.load_q_kvar[0]) * greatest[:, None]
of_phase = between * seen + np.roll(between * (1.0 - seen), 1, axis=1)

demand = np.zeros((len(feeder.blocks.ids), 3), complex)  # kVA, (block, phase)
np.add.at(demand, feeder.block_of_load, of_phase)
capacity = np.zeros((2, *demand.shape))  # kW and kvar, (block, phase)
block_of_der = feeder.blocks.of_bus[ders.bus]
np.add.at(capacity[0], block_of_der, ders.p_max_kw)
np.add.at(capacity[1], block_of_der, ders.q_max_kvar)


# %% [markdown]
# ## The optimizer
#
# An island can live if its DERs carry its demand on every phase with something left for losses, and
# for what the linear model does not see. Islands are joined over one switch at a time, so that each
# stays a tree.


# %%
SPARE = 0.10  # share of each DER that is kept free


def can_live(island: frozenset[int]) -> bool:
    """Whether the DERs of an island carry its demand, phase by phase."""
    blocks = sorted(island)
    needed, given = demand[blocks].sum(axis=0), (1.0 - SPARE) * capacity[:, blocks].sum(axis=1)
    return bool(
        needed.any() and (needed.real <= given[0]).all() and (needed.imag <= given[1]).all()
    )


def served_kw(*islands: frozenset[int]) -> float:
    """Demand of the islands that can live."""
    return float(sum(demand[sorted(one)].real.sum() for one in islands if can_live(one)))


def greedy() -> tuple[list[frozenset[int]], set[int]]:
    """Join islands over the switch that brings most load to life, until none brings any."""
    islands, closed = [frozenset([block]) for block in range(len(demand))], set[int]()
    while True:
        best = (1e-6, -1, frozenset[int](), frozenset[int]())
        for switch, ends in enumerate(feeder.switch_blocks.tolist()):
            if scenario.locked[switch]:
                continue
            one, other = (next(island for island in islands if end in island) for end in ends)
            if one != other:
                gain = served_kw(one | other) - served_kw(one, other)
                best = max(best, (gain, switch, one, other), key=lambda found: found[0])
        gain, switch, one, other = best
        if switch < 0:
            return [island for island in islands if can_live(island)], closed
        islands = [island for island in islands if island not in (one, other)] + [one | other]
        closed.add(switch)


islands, closed = greedy()
live = frozenset[int]().union(*islands)
closed = {k for k in closed if set(feeder.switch_blocks[k].tolist()) <= live}
for island in islands:
    print("island", [feeder.blocks.ids[block] for block in sorted(island)])

# %% [markdown]
# ## A plan file
#
# A plan is JSON keyed by names (`docs/wire/plan.schema.json`): the state of every switch, which
# blocks live, and for every DER whether it holds the voltage of its island, and its base
# set-points. The largest DER of an island forms it; each carries its share of the demand.

# %%
forming, p_kw, q_kvar = set[int](), np.zeros((len(ders.ids), 3)), np.zeros((len(ders.ids), 3))
for island in islands:
    own = [k for k, block in enumerate(block_of_der.tolist()) if block in island]
    forming.add(max(own, key=lambda k: ders.capacity_kw[k]))
    nominal = demand[sorted(island)].sum(axis=0)
    p_kw[own] = nominal.real * ders.p_max_kw[own] / ders.p_max_kw[own].sum(axis=0)
    q_kvar[own] = nominal.imag * ders.q_max_kvar[own] / ders.q_max_kvar[own].sum(axis=0)

plan = {
    "format": "gridproof-plan/1",
    "switches": {
        name: ["closed" if k in closed else "open"] for k, name in enumerate(feeder.switch_ids)
    },
    "energized_blocks": {name: [k in live] for k, name in enumerate(feeder.blocks.ids)},
    "ders": {
        name: {
            "grid_forming": [k in forming],
            "source_v_pu": [1.0 if k in forming else None],
            "p_kw": [p_kw[k].tolist()],
            "q_kvar": [q_kvar[k].tolist()],
        }
        for k, name in enumerate(ders.ids)
    },
}

# %% [markdown]
# ## Tried
#
# Loads are drawn from the set, the study's recourse answers each with a re-dispatch, and OpenDSS
# solves every one.

# %%
seen_in_ac = gp.try_plan(study, plan, samples=SAMPLES)
print(seen_in_ac.plan)
print(seen_in_ac.report)

# %% [markdown]
# The same from a file, which is what another language would write. On the command line:
# `gridproof check plan.json ieee37-networked`, then
# `gridproof campaign ieee37-networked --plan plan.json`.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "plan.json"
    path.write_text(json.dumps(plan, indent=1))
    again = gp.try_plan(study, path, samples=SAMPLES)
assert again.report.steps == seen_in_ac.report.steps
print(f"from the file: {again.report.feasible} of {again.report.realizations} feasible")
