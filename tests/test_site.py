"""What the site leads to is there; building it is for ``make docs``."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def pages(nav):
    for entry in nav:
        (place,) = entry.values()
        yield from [place] if isinstance(place, str) else pages(place)


def test_every_page_is_in_the_menu_and_every_entry_is_a_page():
    told = list(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    there = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    beside = {"CHANGELOG.md", *(f"examples/{p.stem}.md" for p in (ROOT / "examples").glob("*.py"))}
    assert len(told) == len(set(told))
    assert there <= set(told) <= there | beside


def test_links_between_pages_and_to_files_lead_somewhere():
    """Those out of the folder of pages too, as a checkout is read."""
    for page in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_image_and_the_citation_are_of_this_version():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.*)"', project, re.MULTILINE)[1]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["cff-version"], citation["version"]) == ("1.2.0", version)
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = re.search(r"COPY (requirements.*) \./", image)[1].split()
    assert all((ROOT / name).is_file() for name in copied)
    assert "--require-hashes" in image
