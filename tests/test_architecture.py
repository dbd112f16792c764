"""The walls between the folders: who may import what."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from gridproof.optimizer.network import radiality
from gridproof.optimizer.partitioning import options as partitioning_options
from gridproof.optimizer.restoration import options as restoration_options

ROOT = Path(__file__).parents[1]
FOLDERS = ("scenarios", "optimizer", "simulator", "federation")
ALLOWED = {
    "scenarios": {"llvmlite", "numba", "numpy", "scipy", "pydantic"},
    "optimizer": {"numpy", "scenarios", "scipy", "pyomo", "highspy"},
    "simulator": {
        "numpy", "scenarios", "scipy", "opendssdirect", "dss", "dss_python_backend",
    },
    "federation": {
        "numpy", "scenarios", "optimizer", "simulator", "scipy", "pydantic", "helics", "typer",
        "click", "rich", "pyarrow", "matplotlib", "networkx", "jinja2", "dask", "distributed",
        "paho", "pymodbus", "yaml",
    },
}  # fmt: skip
OWNERS = {
    "helics": "federation/wire/helics_",
    "paho": "federation/field/mqtt_client",
    "pymodbus": "federation/field/",
    "yaml": "federation/adapters/compose",
    "opendssdirect": "simulator/opendss/",
    "dss": "simulator/opendss/",
    "dss_python_backend": "simulator/opendss/",
    "highspy": "optimizer/solver/solve",
    "numba": ("scenarios/compiling", "scenarios/lanes"),
    "llvmlite": "scenarios/lanes",
}
STOREYS = {
    "optimizer": (
        ("solver",), ("network",), ("separation",), ("recourse",),
        ("partitioning", "restoration", "policy_mode", "resiliency"),
    ),
    "simulator": (("opendss",), ("reader", "linear", "proof", "fast")),
    "federation": (
        ("statistics", "config", "wire", "tables"), ("trial", "families", "certificates"),
        ("field",), ("members",),
        ("studies",), ("adapters", "records"), ("proofs",), ("campaigns",), ("inquiries",),
        ("reports",), ("papers",), ("cli",),
    ),
}  # fmt: skip
"""Parts of a folder from the ground up: each imports its own and what lies below."""
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def nodes(path: Path) -> tuple[ast.stmt | ast.Name, ...]:
    """Imports, definitions and assigned names of a file, wherever in it; parsed once for all."""
    wanted = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return tuple(
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, wanted)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    )


@cache
def modules(path: Path) -> frozenset[str]:
    """Every module a file imports, wherever in the file, type-checking imports included."""
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


@cache
def defined(path: Path) -> set[str]:
    """Names a file gives a meaning to, rather than hands on."""
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name):
            names.add(node.id)
    return names


def imported(path: Path) -> set[str]:
    """What a file imports, by folder of the house or by library."""
    parts = [name.split(".") for name in modules(path)]
    return {name[1] if name[0] == "gridproof" and len(name) > 1 else name[0] for name in parts}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_folder_imports_only_what_the_house_allows(path: Path) -> None:
    relative = path.relative_to(ROOT)
    folder = relative.parts[0]
    foreign = (
        imported(path) - set(sys.stdlib_module_names) - ALLOWED[folder] - {folder, "gridproof"}
    )
    assert not foreign, f"{relative} imports {sorted(foreign)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_an_engine_is_imported_behind_one_door(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    for engine in imported(path) & set(OWNERS):
        assert relative.startswith(OWNERS[engine]), f"{relative} imports {engine}"


def part_of(module: str) -> tuple[str, str]:
    """Name the folder and the part of it a module is in; no part for what all may use."""
    names = module.split(".")
    inside = len(names) > 3 or (len(names) == 3 and (ROOT / names[1] / names[2]).is_dir())
    return (names[1], names[2]) if names[0] == "gridproof" and inside else ("", "")


USERS = [
    *FILES,
    *(path for place in ("benchmarks", "tests") for path in sorted((ROOT / place).rglob("*.py"))),
]


@pytest.mark.parametrize("path", USERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_name_is_imported_from_its_home(path: Path) -> None:
    """One address a name; and a name that moved is missed where no test runs the file."""
    for node in nodes(path):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.startswith("gridproof.")
        ):
            home = ROOT.joinpath(*node.module.split(".")[1:]).with_suffix(".py")
            if home.exists():
                strangers = {alias.name for alias in node.names} - defined(home)
                assert not strangers, f"{node.module} does not define {sorted(strangers)}"


PARTS = [path for folder in STOREYS for path in sorted((ROOT / folder).rglob("*/*.py"))]


@pytest.mark.parametrize("path", PARTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_folder_is_built_from_the_ground_up(path: Path) -> None:
    folder, own = path.relative_to(ROOT).parts[:2]
    height = {name: level for level, storey in enumerate(STOREYS[folder]) for name in storey}
    for module in modules(path):
        house, part = part_of(module)
        if house == folder and part != own and part in height:
            assert height[part] < height[own], f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("folder", STOREYS)
def test_every_part_has_its_storey(folder: str) -> None:
    parts = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
    assert parts == {name for storey in STOREYS[folder] for name in storey}


def test_no_files_go_round_in_a_circle() -> None:
    names = {
        path: "gridproof." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in FILES
        if path.name != "__init__.py"
    }
    known = set(names.values())
    uses = {name: (modules(path) & known) - {name} for path, name in names.items()}
    TopologicalSorter(uses).prepare()  # raises, and names the circle it finds


def test_nobody_imports_the_house_by_another_name() -> None:
    # two names would be two modules: classes that are not each other's, state kept twice
    for folder in (*FOLDERS, "tests", "benchmarks", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found = {name.split(".")[0] for name in modules(path)} & set(FOLDERS)
            assert not found, f"{path.relative_to(ROOT)} imports {found}; say gridproof.…"


@pytest.mark.parametrize(
    "module", ["gridproof.federation.campaigns.worker", "gridproof.federation.cli.main"]
)
def test_what_starts_often_leaves_slow_libraries_for_later(module: str) -> None:
    # each takes a third of a second or more, which every worker and every command would pay
    slow = (
        "pyomo", "scipy.stats", "scipy.optimize", "scipy.spatial", "matplotlib", "opendssdirect",
        "distributed", "helics", "scipy.special", "pyarrow.compute", "jinja2",
    )  # fmt: skip
    code = f"import {module}, sys; print([name for name in {slow} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout == "[]\n"


def test_the_options_name_the_formulations_there_are() -> None:
    assert tuple(radiality.FOREST_FORMULATIONS) == partitioning_options.FORMULATIONS
    assert tuple(radiality.FORMULATIONS) == restoration_options.FORMULATIONS


def test_the_rule_sees_a_forbidden_import(tmp_path: Path) -> None:
    culprit = tmp_path / "culprit.py"
    culprit.write_text("import helics\nfrom simulator.reader.feeder import read_feeder\n")
    assert imported(culprit) == {"helics", "simulator"}


def test_no_file_or_function_has_outgrown_its_room() -> None:
    long_files, long_functions = [], []
    for path in FILES:
        if path.read_text(encoding="utf-8").count("\n") > 400:
            long_files.append(str(path.relative_to(ROOT)))
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if ast.get_docstring(node):  # a long explanation is not a long function
                    told = node.body[0]
                    length -= (told.end_lineno or told.lineno) - told.lineno + 1
                if length > 60:
                    long_functions.append(f"{path.relative_to(ROOT)}:{node.name} {length}")
    assert not long_files
    assert not long_functions
