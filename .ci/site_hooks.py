"""What the site holds beside ``docs/``: examples, executed, and the changelog; links follow."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import jupytext
from mkdocs.structure.files import File
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ("examples/first_verdict.py", "examples/own_optimizer.py")
COPIED = ("examples/planner_plain_helics.py", "CHANGELOG.md")
DEADLINE_S = 300
_OUTSIDE = re.compile(r"\]\((?:\.\./)+(examples/[\w.]+|CHANGELOG\.md)(#[\w-]+)?\)")
_FROM_ABOVE = re.compile(r"\]\(docs/")


def on_files(files: Any, config: Any) -> Any:
    """Take in files that lie beside the folder of pages; scripts with cells are executed."""
    for place in COPIED:
        files.append(File.generated(config, place, abs_src_path=str(ROOT / place)))
    for place in NOTEBOOKS:
        page, beside = _executed(ROOT / place)
        target = PurePosixPath(place).with_suffix(".md")
        files.append(File.generated(config, str(target), content=page))
        for name, data in beside.items():
            files.append(File.generated(config, str(target.parent / name), content=data))
    return files


def _executed(script: Path) -> tuple[str, dict[str, bytes]]:
    """Run a script cell by cell; returns it as Markdown, and the pictures that it made by name."""
    notebook = jupytext.read(script)
    client = NotebookClient(
        notebook, timeout=DEADLINE_S, kernel_name="python3", extra_arguments=["--log-level=ERROR"]
    )
    client.execute(cwd=str(script.parent))
    resources = {"unique_key": script.stem, "output_files_dir": f"{script.stem}_files"}
    page, made = MarkdownExporter().from_notebook_node(notebook, resources=resources)
    return page, made["outputs"]


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001
    """Point links that lead out of the folder of pages to where the site has the file."""
    if page.file.src_uri in COPIED:
        return _FROM_ABOVE.sub("](", markdown)
    up = "../" * page.file.src_uri.count("/")

    def inside(link: re.Match[str]) -> str:
        place = link[1]
        if place in NOTEBOOKS:
            place = str(PurePosixPath(place).with_suffix(".md"))
        return f"]({up}{place}{link[2] or ''})"

    return _OUTSIDE.sub(inside, markdown)
