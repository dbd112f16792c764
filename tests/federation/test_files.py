"""Files are there whole or not at all, whoever writes them, and stay where they belong."""

from __future__ import annotations

import ast
import errno
import json
import os
import stat
from pathlib import Path

import pytest
from gridproof.federation import files
from gridproof.federation.cli.main import app
from gridproof.federation.files import folder_name, write_result, write_whole
from gridproof.federation.studies.study import load_study, resolved_text
from gridproof.scenarios.errors import ConfigError, StoreError
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]

WRITERS = {
    "federation/files.py": "the one place",
    "federation/wire/recorder.py": "a log that grows; its reader says where it is torn",
    "federation/members/children.py": "a child's output, in a folder of its own",
    "federation/members/launch.py": "a child's output and receipt, in a folder that is thrown away",
    "federation/campaigns/chunks.py": "handed to our own reader, in a folder that is thrown away",
}
"""Who may write to a file directly, and why."""


def direct_writes(path: Path) -> list[str]:
    """Calls that write under a file's final name."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        words = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
        opened = name == "open" and any(set(word) & set("wax") and len(word) < 4 for word in words)
        to_buffer = name == "savefig" and path.name == "svg.py"
        if (name in ("write_text", "write_bytes", "savefig") and not to_buffer) or opened:
            found.append(f"{path.relative_to(ROOT).as_posix()}:{node.lineno} {name}")
    return found


def test_nothing_else_writes_under_a_files_own_name():
    found = [
        one
        for path in sorted((ROOT / "federation").rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in WRITERS
        for one in direct_writes(path)
    ]
    assert not found, "write with federation.files instead"
    assert direct_writes(ROOT / "federation" / "files.py")  # the search finds what there is


@pytest.fixture
def full_disk(monkeypatch):
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", refuse)


@pytest.mark.parametrize(
    ("write", "kind"), [(write_whole, StoreError), (write_result, ConfigError)]
)
def test_a_full_disk_never_cuts_a_good_file(write, kind, tmp_path, full_disk):
    good = tmp_path / "plan.json"
    good.write_text("good")
    with pytest.raises(kind, match=r"plan\.json"):
        write(good, "better, and longer")
    assert good.read_text() == "good"
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_plan_out_keeps_the_old_plan_when_the_disk_is_full(tmp_path, full_disk):
    old = tmp_path / "plan.json"
    old.write_text("old")
    said = CliRunner().invoke(app, ["plan", "ieee37-networked", "--out", str(old), "-q"])
    assert said.exit_code == 2, said.output
    assert "No space left" in said.stderr
    assert "untouched" in said.stderr
    assert old.read_text() == "old"


def test_what_is_no_regular_file_is_written_to_and_a_link_stays_one(tmp_path):
    device = Path("/dev/null")
    if device.exists():
        write_result(device, "gone")
        assert stat.S_ISCHR(device.stat().st_mode)
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_result(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    with pytest.raises(ConfigError, match="directory"):
        write_result(tmp_path, "no")


@pytest.mark.skipif(os.name == "nt", reason="permissions of another kind")
def test_permissions_are_kept_or_as_asked(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o640)
    write_result(tmp_path / "a", "new")
    write_result(tmp_path / "script", "#!", mode=0o700)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "script")]
    assert modes == [0o640, 0o700]


@given(text=st.text(max_size=300))
def test_any_text_names_one_folder(text):
    name = folder_name(text)
    assert name
    assert Path("here", name).parent == Path("here")
    assert Path("here", name).name not in (".", "..")
    assert len(name.encode()) < 200
    assert folder_name(name) == name


NAMES = ["../../evil", "/tmp/evil", "a/b", "..", "a\\b", "a\nb", "x" * 300]


@pytest.mark.parametrize("name", NAMES)
def test_a_studys_name_leads_nowhere_else(name):
    with pytest.raises(ConfigError, match=r"study\.name .*must be a name that a folder can bear"):
        load_study("ieee37-networked", [f"study.name={json.dumps(name)}"])


def test_nor_does_that_of_a_study_that_a_run_wrote(tmp_path):
    document = json.loads(resolved_text(load_study("ieee37-networked")))
    document["name"] = "../../evil"
    path = tmp_path / "study.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=r"evil.*a name that a folder can bear"):
        load_study(path)


def test_texts_that_are_no_names_do_not_meet():
    assert folder_name("history=../a.csv") != folder_name("history=.._a.csv")
    assert folder_name("latency_s=0.1-spread=0.25") == "latency_s=0.1-spread=0.25"
