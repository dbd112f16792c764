"""Chunks as tasks on Dask: the same bytes, a lost worker's tasks done again, clear errors."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.cluster import DaskCluster
from gridproof.federation.records.keeper import Keeper
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError, DeadlinePassed, FederateLost

distributed = pytest.importorskip("distributed")

SAMPLES = 10_000
OVERRIDES = [
    f"campaign.samples={SAMPLES}", "campaign.batch=256",
    "campaign.judge=linear", "campaign.recourse=fixed",
    "federation.join_deadline_s=20",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_toy):
    """A campaign of five chunks, tried by one federation in this process."""
    folder = tmp_path_factory.mktemp("whole")
    study = load_study(write_toy(folder), OVERRIDES)
    return run_campaign(study, folder / "c", mode="local")


def local_cluster(workers):
    """Workers in processes of their own, and no fixed port for the dashboard."""
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0"
    )


@pytest.fixture(scope="module")
def cluster():
    with local_cluster(2) as made:
        yield made


@pytest.fixture
def study(toy):
    return load_study(toy, OVERRIDES)


def results(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in ("parts", "profiles")
        for path in sorted((root / folder).glob("*"))
    }


def test_tasks_change_no_byte(whole, study, cluster, tmp_path):
    seen = []
    pool = DaskCluster(address=cluster.scheduler_address)
    result = run_campaign(study, tmp_path / "c", spread=pool, plan=whole.plan, progress=seen.append)
    assert results(result.out) == results(whole.out)
    assert seen[-1].done == SAMPLES
    (run,) = result.store.environment["runs"]
    assert (run["realizations"], run["ended"]) == (SAMPLES, "finished")
    assert run["mode"].startswith("dask tcp://")


@pytest.mark.slow
def test_a_lost_workers_tasks_are_done_again(whole, study, cluster, tmp_path):
    """The first part to come costs a worker its life; its nanny brings up another."""
    killed = []

    def kill_one(_):
        if not killed:
            with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
                busy = {k: v for k, v in client.processing().items() if v} or client.nthreads()
                pid = client.run(os.getpid, workers=[next(iter(busy))])
            killed.extend(pid.values())
            os.kill(killed[0], signal.SIGKILL)

    pool = DaskCluster(address=cluster.scheduler_address)
    result = run_campaign(study, tmp_path / "c", spread=pool, plan=whole.plan, progress=kill_one)
    assert killed
    assert results(result.out) == results(whole.out)


def test_what_a_task_raises_is_raised_here(whole, study, cluster, tmp_path):
    """A feeder file that is not where the study says, on the workers' side of things."""
    moved = Path(study.path).parent / "toy.dss"
    store = tmp_path / "c"

    def hide(_):
        raise AssertionError("nothing can have come")

    text = moved.read_text()
    moved.unlink()
    try:
        with pytest.raises(ConfigError, match=r"toy\.dss"):
            run_campaign(
                study,
                store,
                spread=DaskCluster(address=cluster.scheduler_address),
                plan=whole.plan,
                progress=hide,
            )
    finally:
        moved.write_text(text)
    (run,) = CampaignStore.open(store).environment["runs"]
    assert (run["realizations"], run["ended"]) == (0, "failed")


def test_no_worker_and_no_scheduler(toy, whole, tmp_path):
    hasty = load_study(toy, [*OVERRIDES, "federation.join_deadline_s=1"])
    with pytest.raises(DeadlinePassed, match="an answer from the Dask scheduler"):
        run_campaign(
            hasty, tmp_path / "a", spread=DaskCluster(address="127.0.0.1:9"), plan=whole.plan
        )
    with local_cluster(0) as empty:
        pool = DaskCluster(address=empty.scheduler_address)
        with pytest.raises(DeadlinePassed, match=r"a worker .*join_deadline_s"):
            run_campaign(hasty, tmp_path / "b", spread=pool, plan=whole.plan)


@pytest.mark.slow  # a cluster of its own, and Dask's patience with a scheduler that left
def test_a_scheduler_that_goes_ends_the_campaign(whole, study, tmp_path):
    lost = local_cluster(1)
    try:
        with pytest.raises(FederateLost, match=r"resume") as caught:
            run_campaign(
                study,
                tmp_path / "c",
                spread=DaskCluster(address=lost.scheduler_address),
                plan=whole.plan,
                progress=lambda tally: lost.close() if tally.done < SAMPLES else None,
            )
        assert caught.value.exit_code == 4
    finally:
        lost.close()
    result = run_campaign(study, tmp_path / "c", mode="local")
    assert result.resumed > 0
    assert results(result.out) == results(whole.out)


def test_an_address_that_is_none_and_a_missing_dask(study, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="tcp://HOST:8786"):
        run_campaign(study, tmp_path / "c", spread=DaskCluster(address="node17"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"gridproof\[dask\]"):
        run_campaign(study, tmp_path / "c", spread=DaskCluster(address="node17:8786"))


@pytest.mark.slow
def test_a_result_whose_holder_is_gone_keeps_nobody_waiting(toy, whole, tmp_path, monkeypatch):
    """The last workers leave while parts are written; what they held nobody can compute."""
    hasty = load_study(toy, [*OVERRIDES, "federation.join_deadline_s=2"])
    monkeypatch.setattr("gridproof.federation.campaigns.cluster._LARGEST_GROUP", 1)
    keep, lost = Keeper.keep, []

    def leave(self, part):
        if not lost:
            time.sleep(2.0)  # so that others have finished, too
            lost.append(leaving.scale(0))
            until = time.monotonic() + 20.0
            while leaving.scheduler.workers and time.monotonic() < until:
                time.sleep(0.05)
        keep(self, part)

    monkeypatch.setattr(Keeper, "keep", leave)
    with local_cluster(2) as leaving:
        began = time.monotonic()
        with pytest.raises(DeadlinePassed, match=r"a worker .*join_deadline_s"):
            run_campaign(
                hasty,
                tmp_path / "c",
                spread=DaskCluster(address=leaving.scheduler_address),
                plan=whole.plan,
            )
        assert time.monotonic() - began < 60.0
    result = run_campaign(hasty, tmp_path / "c", mode="local")
    assert result.resumed > 0
    assert results(result.out) == results(whole.out)


@pytest.mark.slow
def test_the_scheduler_is_asked_before_anything_is_planned(toy, tmp_path, monkeypatch):
    hasty = load_study(toy, [*OVERRIDES, "federation.join_deadline_s=1"])

    def planned(*_):
        raise AssertionError("it was planned although nobody can try the plan")

    monkeypatch.setattr("gridproof.federation.campaigns.campaign.plan_here", planned)
    with pytest.raises(DeadlinePassed, match="an answer from the Dask scheduler"):
        run_campaign(hasty, tmp_path / "a", spread=DaskCluster(address="127.0.0.1:9"))


@pytest.mark.slow
def test_the_plan_is_kept_whatever_happens_after(study, cluster, tmp_path, monkeypatch):
    def breaks(*_, **__):
        raise FederateLost("the cluster went away just then")

    pool = DaskCluster(address=cluster.scheduler_address)
    monkeypatch.setattr(DaskCluster, "__call__", breaks)
    with pytest.raises(FederateLost, match="just then"):
        run_campaign(study, tmp_path / "c", spread=pool)
    assert (tmp_path / "c" / "plan.json").is_file()


@pytest.mark.slow
def test_a_cluster_that_adapts_from_nothing_grows(whole, study, tmp_path):
    with local_cluster(0) as empty:
        empty.adapt(minimum=0, maximum=2, interval="200ms")
        pool = DaskCluster(address=empty.scheduler_address)
        result = run_campaign(study, tmp_path / "c", spread=pool, plan=whole.plan)
    assert results(result.out) == results(whole.out)


@pytest.mark.slow
def test_a_worker_of_another_version_is_left_out_by_name(whole, study, cluster, tmp_path):
    """It answers that it has another; the others try all, and the bytes are the same."""
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)
        odd = sorted(client.scheduler_info(n_workers=-1)["workers"])[0]
        client.run(_pretend, workers=[odd])
        told = []
        pool = DaskCluster(address=cluster.scheduler_address, tell=told.append)
        try:
            result = run_campaign(study, tmp_path / "c", spread=pool, plan=whole.plan)
            client.run(_pretend)
            with pytest.raises(ConfigError, match=r"numpy 0\.1 .*same versions on every worker"):
                run_campaign(study, tmp_path / "d", spread=pool, plan=whole.plan)
        finally:
            client.run(_be_yourself)
    assert results(result.out) == results(whole.out)
    assert any(odd in line and "numpy 0.1" in line for line in told)


def _pretend():
    from gridproof.federation.campaigns import chunks
    from gridproof.federation.records.environment import versions

    chunks.versions = lambda: {**versions(), "numpy": "0.1"}
    chunks._prepare.cache_clear()


def _be_yourself():
    from gridproof.federation.campaigns import chunks
    from gridproof.federation.records.environment import versions

    chunks.versions = versions
    chunks._prepare.cache_clear()
