"""What a Python user calls: load, plan, draw, try, run, report; the command line sits on the same.

::

    import gridproof as gp

    study = gp.load("ieee37-networked", {"uncertainty.spread": 0.25})
    plan = gp.plan(study)
    seen = gp.try_plan(study, plan, samples=500)         # in memory, leaves no directory
    sure = gp.prove(study, plan)                         # every load of the set, without sampling
    run = gp.run(study, plan=plan, out="campaigns/demo", workers=2)  # resumable
    run.report.feasible_share, run.report.interval

Everything returned is frozen. Errors are those of `scenarios.errors`; a plan that fails in AC is a
result, not an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from gridproof.federation.adapters.plan_files import read_plan, refuse_faulty
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.studies.trust import Trust, trust_of
from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_from_json
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.sampling import sample

if TYPE_CHECKING:
    import pyarrow as pa
    from gridproof.federation.campaigns.campaign import Spread
    from gridproof.federation.records.certificate_report import CertificateReport
    from gridproof.federation.records.replay_report import ReplayReport
    from gridproof.federation.records.report import Report
    from gridproof.federation.records.store import CampaignStore
    from gridproof.scenarios.sets import UncertaintySet

__all__ = ["Run", "draw", "load", "plan", "prove", "replay", "report", "run", "try_plan"]

Overrides = Mapping[str, Any] | Sequence[str]
SomePlan = Plan | str | Path | Mapping[str, Any]
"""A plan, the path of its file, or what such a file holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Run:
    """A plan that was tried, and what came of it.

    Attributes
    ----------
    plan
        What was tried.
    report
        Its figures, the same as ``gridproof report DIR --json`` prints.
    out
        The campaign directory; None of a trial in memory.
    rows
        One row a realization and step; of a campaign in a directory read when asked for.
    """

    plan: Plan
    report: Report
    out: Path | None = None
    rows: pa.Table | None = None

    def frame(self) -> pa.Table:
        """Return one row a realization and step as an Arrow table; ``.to_pandas()`` from there."""
        if self.rows is not None:
            return self.rows
        assert self.out is not None
        from gridproof.federation.records.store import CampaignStore  # noqa: PLC0415

        return _rows(CampaignStore.open(self.out))

    def __repr__(self) -> str:
        where = "in memory" if self.out is None else f"in {self.out}"
        return f"<Run {where}: {self.report!r}>"

    def _repr_html_(self) -> str:
        shown: str = self.report._repr_html_()
        return shown


def load(study: str | Path, overrides: Overrides = (), *, trusted: bool = False) -> Study:
    """Find, check and assemble a study.

    Parameters
    ----------
    study
        Name of a shipped study, or path of a ``.toml``.
    overrides
        ``{"uncertainty.spread": 0.25}``, or entries as ``--set`` takes them.
    trusted
        Whether the feeder of a campaign's ``study.json`` is compiled, and devices that the study
        names are written to, whoever wrote it.

    Raises
    ------
    ConfigError
        With every fault of the study and its feeder.
    """
    return load_study(study, _entries(overrides), Trust(whole=trusted))


def plan(study: Study) -> Plan:
    """Find a plan by the study's own family, and what can be proven about it.

    Raises
    ------
    PlanError
        `NoPlanExists` where that is proven, `PlanNotFound` where a limit came first.
    """
    from gridproof.federation.certificates.affine_rules import (  # noqa: PLC0415
        with_what_it_needs,
    )
    from gridproof.federation.proofs.plans import plan_study  # noqa: PLC0415

    made = plan_study(study).plan
    return with_what_it_needs(made, study.scenario, study.config.campaign.recourse)


def draw(study: Study, samples: int, *, first: int = 0) -> Realizations:
    """Draw realizations ``first … first + samples - 1`` as a campaign of the study does."""
    return sample(study.scenario, study.sampler, first, samples)


def try_plan(study: Study, plan: SomePlan, *, samples: int = 500) -> Run:
    """Try a plan on the first realizations of the study, here and now; nothing is kept on disk.

    Parameters
    ----------
    study, plan
        Where, and what is tried: a plan, the path of its file (ours, or one of PowerModelsONM's),
        or what a plan file holds, as an optimizer of your own may write it.
    samples
        How many realizations.

    Raises
    ------
    ConfigError
        If the plan is not one for the study; with every fault.
    """
    made = _plan_for(study, plan)
    shorter = load_study(
        study.path, [*study.overrides, f"campaign.samples={samples}"], trust_of(study)
    )
    with TemporaryDirectory(prefix="gridproof-") as folder:
        done = run(shorter, plan=made, out=Path(folder) / "trial", mode="local")
        return Run(plan=done.plan, report=done.report, rows=done.frame())


def prove(
    study: Study,
    plan: SomePlan,
    *,
    load_set: UncertaintySet | None = None,
    depth: int = 8,
    seconds: float = 20.0,
) -> CertificateReport:
    """Prove that a plan holds for every load of a set, or name a load that breaks it.

    Parameters
    ----------
    study, plan
        Where, and what is proven, as `try_plan` takes it.
    load_set
        A box, budget or parallelotope over the study's directions (`scenarios.sets`); the study's
        own box if not given.
    depth, seconds
        How often the set may be cut in two, and for how long, per island.

    Raises
    ------
    ConfigError
        If the plan is not one for the study; with every fault.
    """
    from gridproof.federation.proofs.proving import ProofSettings  # noqa: PLC0415
    from gridproof.federation.proofs.proving import prove as certified  # noqa: PLC0415

    settings = ProofSettings(depth=depth, seconds=seconds)
    return certified(study, _plan_for(study, plan), load_set=load_set, settings=settings)


def replay(study: Study, plan: SomePlan, index: int) -> ReplayReport:
    """Try one realization on its own, and keep all of it: loads, set-points, voltages, flows.

    Parameters
    ----------
    study, plan
        Where, and what is tried, as `try_plan` takes it.
    index
        Which of the study's realizations.

    Raises
    ------
    ConfigError
        If the plan is not one for the study, or realizations depend on those before them.
    """
    from gridproof.federation.inquiries.replay import replay as open_again  # noqa: PLC0415

    return open_again(study, _plan_for(study, plan), index)[0]


def run(
    study: Study,
    *,
    plan: SomePlan | None = None,
    out: str | Path,
    workers: int | None = None,
    scheduler: str | None = None,
    mode: str | None = None,
) -> Run:
    """Plan if need be, try the plan on every realization, and keep what came of it.

    A directory that holds part of the same campaign is taken up.

    Parameters
    ----------
    study, plan
        What is tried, as `try_plan` takes it; planned by the study's family if none is given.
    out
        The campaign directory.
    workers, scheduler
        Processes to spread over, or the address of a Dask scheduler; one of the two.
    mode
        ``in_process``, ``processes`` or ``local``; the study's own if None.

    Raises
    ------
    GridproofError
        As ``gridproof run``; finished parts stay whole.
    """
    from gridproof.federation.campaigns.campaign import run_campaign  # noqa: PLC0415

    spread = _spread(workers, scheduler)
    made = None if plan is None else _plan_for(study, plan)
    run_campaign(study, Path(out), mode=mode, plan=made, spread=spread)
    return report(out)


def report(out: str | Path) -> Run:
    """Read a campaign directory again, whole or as far as it came.

    Raises
    ------
    StoreError
        If it is none, or torn.
    """
    from gridproof.federation.campaigns.steps import steps_summary  # noqa: PLC0415
    from gridproof.federation.records.keeper import stored_plan  # noqa: PLC0415
    from gridproof.federation.records.report import Report  # noqa: PLC0415
    from gridproof.federation.records.scenario_store import stored_scenario  # noqa: PLC0415
    from gridproof.federation.records.store import CampaignStore  # noqa: PLC0415
    from gridproof.federation.records.summary import campaign_summary  # noqa: PLC0415

    store = CampaignStore.open(Path(out))
    scenario = stored_scenario(store)
    tried = None if scenario is None else stored_plan(store, scenario)
    if tried is None:
        raise StoreError(f"{out} holds no plan yet; run its campaign first")
    figures = steps_summary(store) if store.steps else campaign_summary(store)
    seed = int(store.study["config"]["campaign"]["seed"])
    told = Report(study=str(store.study["name"]), seed=seed, figures=figures)
    return Run(plan=tried, report=told, out=Path(out))


def _plan_for(study: Study, plan: SomePlan) -> Plan:
    if isinstance(plan, Mapping):
        where, made = "plan", plan_from_json(json.dumps(plan), study.scenario)
    elif isinstance(plan, (str, Path)):
        where, made = str(plan), read_plan(Path(plan), study.scenario)
    else:
        where, made = "plan", plan
    refuse_faulty(made, study.scenario, where)
    return made


def _spread(workers: int | None, scheduler: str | None) -> Spread | None:
    if workers is not None and scheduler is not None:
        raise ConfigError("workers and scheduler exclude one another; keep one of them")
    if workers is not None:
        from gridproof.federation.campaigns.workers import Workers  # noqa: PLC0415

        return Workers(count=workers)
    if scheduler is not None:
        from gridproof.federation.campaigns.cluster import DaskCluster  # noqa: PLC0415

        return DaskCluster(address=scheduler)
    return None


def _rows(store: CampaignStore) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415

    return pa.concat_tables(store.tables(None, store.finished()))


def _entries(overrides: Overrides) -> list[str]:
    """Return overrides as ``--set`` takes them: values as TOML has them."""
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{key}={_toml(value)}" for key, value in overrides.items()]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)
