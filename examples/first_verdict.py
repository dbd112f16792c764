# %% [markdown]
# # A first verdict
#
# A plan says which switches close, which blocks stay live, and what every DER makes. It is made
# with a linear model; whether it holds is for AC power flow to say, on loads nobody knew when it
# was made. Six calls: load, plan, draw, try, run, report.
#
# Run it as a script, or open it as a notebook (cells are marked with `# %%`).

# %%
import tempfile
from pathlib import Path

import gridproof as gp

SAMPLES = 200

# %% [markdown]
# ## Load a study
#
# A shipped one by name (`gridproof studies` lists them), or your own file. Any of its values can be
# set anew; here loads may differ from nominal by 15 % instead of 10 %.

# %%
study = gp.load("ieee37-networked", {"uncertainty.spread": 0.15})
print(study)

# %% [markdown]
# ## Plan
#
# The study's own optimizer. What was proven comes with the plan: *certified* means that every load
# of the set can be served within the linear model's limits, at a cost within a stated gap of the
# least there can be.

# %%
plan = gp.plan(study)
print(plan)
print(f"costs {plan.proof.incumbent:.2f} USD, proven at least {plan.proof.bound:.2f} USD")

# %% [markdown]
# ## Draw
#
# Realization 7 is the same loads whenever and wherever it is drawn: a function of (seed, index).

# %%
drawn = gp.draw(study, 5)
print(drawn)
for name, kw in zip(study.scenario.uncertainty.load_ids, drawn.zeta.T, strict=True):
    print(f"  {name}: " + ", ".join(f"{15 * z:+.1f} %" for z in kw))

# %% [markdown]
# ## Try
#
# Every realization gets its re-dispatch, is solved in three-phase AC, and is held against the
# limits. In memory, nothing is left on disk.

# %%
tried = gp.try_plan(study, plan, samples=SAMPLES)
print(tried.report)
rows = tried.frame()  # Arrow; rows.to_pandas() where pandas is installed
least_pu = min(rows["margin_voltage"].to_pylist())
print(f"{rows.num_rows} rows; the least voltage margin is {least_pu:.4f} pu")

# %% [markdown]
# ## Run, and read it again
#
# The same as a campaign in a directory: it is kept, may be interrupted and taken up again, spread
# over processes (`workers=`), shown as a page (`gridproof report DIR --open`), compared.

# %%
with tempfile.TemporaryDirectory() as folder:
    shorter = gp.load(study.path, {"uncertainty.spread": 0.15, "campaign.samples": SAMPLES})
    gp.run(shorter, plan=plan, out=Path(folder) / "first")
    report = gp.report(Path(folder) / "first").report

low, high = report.interval
print(f"{report.feasible} of {report.realizations} feasible: a share of at least {low:.4f},")
print(f"at {report.confidence:.0%} confidence; {report.served_share:.1%} of the demand is served")

# %% [markdown]
# Two ways to try the same plan, one verdict.

# %%
assert report.feasible == tried.report.feasible
