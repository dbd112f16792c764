"""Pictures of README.md, made anew: ``make picture`` (needs Chromium).

The map is the demo's own figure. The page is that of the same study with loads that move by 25 %
and a plan for the nominal load alone, so that something fails in it.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
PROGRAM = [sys.executable, "-c", "from gridproof.federation.cli.main import main; main()"]
STUDY = "ieee37-networked"
FAILING = ["--set", "uncertainty.spread=0.25", "--set", "planner.method=nominal"]
WIDE, HIGH = 1100, 1440
COLOURS = 64


def reported(folder: Path, *words: str) -> Path:
    """Run the study and its report; returns the report's folder."""
    subprocess.run([*PROGRAM, "run", STUDY, *words, "--out", folder, "--quiet"], check=True)
    subprocess.run([*PROGRAM, "report", folder, "--html"], check=True, stdout=subprocess.DEVNULL)
    return folder / "report"


def keep(picture: Image.Image, name: str) -> None:
    """Write a picture of few colours, which is what a drawing has."""
    few = picture.convert("RGB").quantize(COLOURS)
    held = io.BytesIO()
    few.save(held, "PNG", optimize=True)
    (IMAGES / name).write_bytes(held.getvalue())
    sys.stdout.write(f"{IMAGES / name}: {len(held.getvalue()) // 1000} kB\n")


def main() -> None:
    """Make both."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("chromium is not installed; it draws the picture of the page")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        demo = reported(folder / "demo", "--samples", "1000")
        keep(Image.open(demo / "figures" / "one-line.png"), f"{STUDY}.png")
        page = reported(folder / "fails", *FAILING, "--samples", "2000") / "report.html"
        shot = folder / "page.png"
        subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--screenshot={shot}", f"--window-size={WIDE},{HIGH}", page.as_uri()],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip
        keep(Image.open(shot), "report.png")


if __name__ == "__main__":
    main()
