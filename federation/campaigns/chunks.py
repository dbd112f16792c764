"""One process's share of a campaign: a plan tried on some chunks, each handed back as bytes.

A process that does this has its own planner and feeder federates over its own broker and
writes nothing to the campaign directory. It is given text only, so it may run anywhere the
same versions and the study's feeder are.
"""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from gridproof.federation.campaigns.study_jobs import (
    batch_of,
    feeder_job_of,
    make_planner_job,
    session_settings,
)
from gridproof.federation.members.jobs import PlannerJob
from gridproof.federation.members.session import run_session
from gridproof.federation.records.environment import compiler_versions, versions
from gridproof.federation.records.parts import ChunkSink, EncodedPart, batches
from gridproof.federation.studies.study import Study, load_study
from gridproof.federation.studies.trust import Trust
from gridproof.optimizer.recourse.policies import Recourse
from gridproof.scenarios import errors
from gridproof.scenarios.errors import ConfigError, FederateLost, FederationError, GridproofError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_from_json
from gridproof.scenarios.verdict import Outcome

__all__ = ["Failure", "OtherVersions", "Share", "differences", "try_chunks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a process needs to try chunks of a campaign.

    Attributes
    ----------
    study_text, plan_text
        ``study.json`` and ``plan.json``.
    versions
        Name and version of every library a result may depend on; parts of different versions
        are never mixed.
    """

    study_text: str
    plan_text: str
    versions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, study_text: str, plan_text: str) -> Share:
        """Return the share of a campaign that runs with this program's versions."""
        own = dict(versions())
        if json.loads(study_text)["config"]["campaign"].get("engine") == "fast":
            own |= compiler_versions()
        told = tuple(sorted(own.items()))
        return cls(study_text=study_text, plan_text=plan_text, versions=told)


class OtherVersions(ConfigError):
    """The versions of the program here are not the campaign's."""


def differences(asked: Iterable[tuple[str, str]]) -> list[str]:
    """Return what this program has in another version than is asked for, each in words."""
    own = dict(versions()) | compiler_versions()
    return [f"{k} {own.get(k)} (asked {v})" for k, v in asked if own.get(k) != v]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An exception as text: it can travel where its class or its parts cannot.

    Attributes
    ----------
    kind, text, trace
        Name of its class, its message, its traceback.
    of_federation
        Whether the federation could not go on, so that another try may do better.
    """

    kind: str
    text: str
    trace: str
    of_federation: bool

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Put an exception into text."""
        return cls(
            kind=_known(type(error)),
            text=str(error),
            trace="".join(traceback.format_exception(error)),
            of_federation=isinstance(error, FederationError),
        )

    def error(self, who: str) -> BaseException:
        """Make an exception of it again, of its own class where a message makes one."""
        made: BaseException
        known = getattr(errors, self.kind, None)
        if self.of_federation:
            made = FederateLost(f"{who}: {self.text}")
        elif isinstance(known, type) and issubclass(known, GridproofError):
            try:
                made = known(self.text)
            except TypeError:  # its class wants more than a message
                made = GridproofError(self.text)
        else:
            made = RuntimeError(f"{who} failed: {self.kind}: {self.text}")
        made.add_note(f"in {who}:\n{self.trace}")
        return made


def _known(kind: type[BaseException]) -> str:
    """Name the nearest class of an exception that can be made again anywhere."""
    near = (one.__name__ for one in kind.__mro__ if hasattr(errors, one.__name__))
    return next(near, kind.__name__)


def try_chunks(
    share: Share,
    chunks: Iterable[int],
    keep: Callable[[EncodedPart], None],
    watch: Callable[[int, Mapping[Outcome, int]], None] | None = None,
) -> None:
    """Try the plan on chunks, in one federation of this process's own.

    Parameters
    ----------
    share
        The campaign.
    chunks
        Numbers; asked for one at a time, from the feeder's thread.
    keep, watch
        Receive each whole chunk, and the outcomes of each batch; from the same thread.

    Raises
    ------
    ConfigError
        If this program's versions are not the campaign's, or the study differs here.
    BaseException
        As `federation.members.session.run_session`.
    """
    with _ONE_AT_A_TIME:
        prepared = _prepare(share)
        study, batch = prepared.study, batch_of(prepared.study)
        samples = study.config.campaign.samples

        def ranges() -> Iterator[tuple[int, int]]:
            for chunk in chunks:
                yield from batches(chunk, samples, batch)

        sink = ChunkSink(
            scenario=study.scenario,
            samples=samples,
            fingerprint=study.fingerprint,
            keep=keep,
            watch=watch,
            steps=study.steps,
        )
        job = feeder_job_of(study, ranges(), lambda traced: replace_traced(sink, traced))
        mode = "local" if study.config.federation.mode == "local" else "in_process"
        try:
            run_session(prepared.planner, job, session_settings(study, mode))
        except BaseException:
            _prepare.cache_clear()  # nobody knows what state the interrupted recourse is in
            raise


def replace_traced(sink: ChunkSink, traced: Iterable[str]) -> ChunkSink:
    """Return the sink, told of the columns that come beside the verdicts."""
    sink.traced = tuple(traced)
    return sink


_ONE_AT_A_TIME = threading.Lock()
"""A process tries one share at a time: the recourse it keeps is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    study: Study
    planner: PlannerJob


@lru_cache(maxsize=1)
def _prepare(share: Share) -> _Prepared:
    """Read study and plan and make the recourse; kept, for what it takes seconds to learn."""
    other = differences(share.versions)
    if other:
        raise OtherVersions(
            f"a worker has {', '.join(other)}; results of different versions are not mixed: "
            "install the same versions on every worker"
        )
    with TemporaryDirectory(prefix="gridproof-") as folder:
        path = Path(folder) / "study.json"
        path.write_text(share.study_text, encoding="utf-8")
        study = load_study(path, trust=Trust(whole=True))  # a campaign of ours hands it out
    plan = plan_from_json(share.plan_text, study.scenario, "plan.json")
    job = make_planner_job(study, plan)
    made = lru_cache(maxsize=1)(lambda: job.make_recourse(plan))

    def make_recourse(_: Plan) -> Recourse:
        return made()

    return _Prepared(study=study, planner=replace(job, make_recourse=make_recourse))
