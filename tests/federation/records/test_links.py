"""A directory that somebody sends may hold links: nothing is written or deleted through one."""

import os
import shutil
import stat

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.files import refuse_links, write_result, write_whole
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import StoreError
from typer.testing import CliRunner

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links of another kind")


@pytest.fixture(scope="module")
def done(write_toy, tmp_path_factory):
    """A campaign that wants one more part, and the study it is of."""
    root = tmp_path_factory.mktemp("links")
    run_campaign(load_study(write_toy(root)), root / "c", mode="local")
    return root


@pytest.fixture
def sent(done, tmp_path):
    shutil.copytree(done / "c", tmp_path / "c")
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("part-00000000.parquet", "report.html", "page.csv", ".x.7.tmp", "feeder.log"):
        (outside / name).write_text("somebody's")
    return tmp_path / "c"


def untouched(sent):
    found = {path.name: path.read_text() for path in (sent.parent / "outside").iterdir()}
    return len(found) == 5 and set(found.values()) == {"somebody's"}


@pytest.mark.parametrize("command", ["resume", "report"])
@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("parts/part-00000001.parquet", "part-00000000.parquet"),
        ("writer.lock", "page.csv"), ("environment.json", "page.csv"), ("begun", "."),
        ("parts.sha256", "page.csv"),
        ("logs", "."), ("report", "."), ("report/report.html", "report.html"),
        ("report/tables", "."), ("report/figures/shares.svg", "page.csv"), ("older", "."),
        (".study.json.9.tmp", ".x.7.tmp"), ("dangling", "nowhere"),
    ],
)  # fmt: skip
def test_no_link_of_a_campaign_is_followed(sent, command, place, target) -> None:
    here = sent / place
    here.parent.mkdir(parents=True, exist_ok=True)
    here.unlink(missing_ok=True)
    here.symlink_to(sent.parent / "outside" / target)
    said = CliRunner().invoke(app, [command, str(sent)])
    assert said.exit_code in {1, 2}, said.output
    assert here.name in said.stderr
    assert untouched(sent)
    assert here.is_symlink()


def test_a_lock_with_another_name_elsewhere_is_left_alone(sent) -> None:
    os.link(sent.parent / "outside" / "page.csv", sent / "writer.lock")
    said = CliRunner().invoke(app, ["resume", str(sent)])
    assert said.exit_code in {1, 2}, said.output
    assert untouched(sent)


def test_a_campaign_may_itself_lie_behind_a_link(done, sent) -> None:
    behind = sent.parent / "behind"
    behind.symlink_to(sent)
    refuse_links(behind)
    said = CliRunner().invoke(app, ["report", str(behind)])
    assert said.exit_code == 0, said.output
    assert (sent / "report" / "report.html").is_file()


def test_a_link_left_in_place_of_the_partial_file_is_not_followed(tmp_path) -> None:
    (tmp_path / "other").write_text("somebody's")
    (tmp_path / f".new.{os.getpid()}.tmp").symlink_to(tmp_path / "other")
    write_whole(tmp_path / "new", "ours")
    assert (tmp_path / "other").read_text() == "somebody's"
    assert (tmp_path / "new").read_text() == "ours"
    assert not (tmp_path / "new").is_symlink()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    with pytest.raises(StoreError, match="link is a link"):
        write_whole(tmp_path / "link", "ours")


def test_a_file_with_a_key_never_had_another_mode(tmp_path, monkeypatch) -> None:
    seen, opened = [], os.open

    def spy(path, flags, mode=0o777, **more):
        handle = opened(path, flags, mode, **more)
        if flags & os.O_CREAT:
            seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        return handle

    monkeypatch.setattr(os, "open", spy)
    old = os.umask(0)
    try:
        write_result(tmp_path / "key", "secret", mode=0o600)
        write_result(tmp_path / "script", "secret", mode=0o700)
        words = ["ieee37-networked", "--emit", "slurm", "--out", str(tmp_path / "job.sh")]
        assert CliRunner().invoke(app, ["launch", *words]).exit_code == 0
    finally:
        os.umask(old)
    assert seen
    assert all(mode & 0o077 == 0 for mode in seen), seen
