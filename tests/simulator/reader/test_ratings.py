"""A rating that a file states, and the 400 A that OpenDSS takes where it states none."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.reader.feeder import read_feeder

HEAD = """Clear
New Circuit.rated bus1=s basekv=12.47
New LineCode.plain nphases=3 r1=0.3 x1=0.6 r0=0.8 x0=1.9 c1=0 c0=0 units=km
New LineCode.rated like=plain normamps=400
New LineCode.heir like=rated
New LineCode.emergency like=plain emergamps=500
New WireData.w rdc=0.1 gmr=0.01 diam=0.5 normamps=123 runits=km gmrunits=m radunits=cm
New WireData.u rdc=0.1 gmr=0.01 diam=0.5 runits=km gmrunits=m radunits=cm
"""
TAIL = """New Load.rest bus1=t kv=12.47 kw=90 kvar=30
Set VoltageBases=[12.47]
CalcVoltageBases
Solve
"""
GEOMETRY = (
    "New LineGeometry.{name} nconds=3 nphases=3 cond=1 wire={wire} x=0 h=10 units=m "
    "cond=2 wire={wire} x=1 h=10 units=m cond=3 wire={wire} x=2 h=10 units=m {more}"
)
SPACING = "New LineSpacing.sp nconds=3 nphases=3 x=[0 1 2] h=[10 10 10] units=m"
LINE = "New Line.t bus1=s bus2=t "
CASES = {
    "nothing": (LINE, np.inf),
    "a_switch": (LINE + "switch=yes", np.inf),
    "own": (LINE + "normamps=400", 400.0),
    "own_of_a_switch": (LINE + "normamps=400 switch=yes", 400.0),
    "emergency_alone": (LINE + "emergamps=400", np.inf),
    "code_without": (LINE + "linecode=plain length=1 units=km", np.inf),
    "code_with": (LINE + "linecode=rated length=1 units=km", 400.0),
    "code_like_one_with": (LINE + "linecode=HEIR", 400.0),
    "code_with_emergency_alone": (LINE + "linecode=emergency", np.inf),
    "code_then_own": (LINE + "linecode=plain normamps=150", 150.0),
    "code_then_own_400": (LINE + "linecode=plain length=1 normamps=400 emergamps=600", 400.0),
    "code_then_own_400_last": (LINE + "linecode=plain length=1 emergamps=600 normamps=400", 400.0),
    "own_that_a_code_replaces": (LINE + "normamps=150 linecode=plain", np.inf),
    "own_that_a_rated_code_replaces": (LINE + "normamps=150 linecode=rated", 400.0),
    "code_by_two": (LINE + "linecode=rated linecode=plain", np.inf),
    "code_then_impedance": (LINE + "linecode=plain r1=0.2 x1=0.4", np.inf),
    "edited": (LINE + "\nEdit Line.t normamps=400", 400.0),
    "by_property": (LINE + "\nLine.t.normamps=400", 400.0),
    "like_one_with": ("New Line.a bus1=s bus2=a normamps=400\nNew Line.t like=a bus2=t", 400.0),
    "like_one_without": ("New Line.a bus1=s bus2=a\nNew Line.t like=a bus1=s bus2=t", np.inf),
    "code_edited_later": (LINE + "linecode=plain\nEdit LineCode.plain normamps=250", np.inf),
    "geometry_of_rated_wires": (
        GEOMETRY.format(name="g", wire="w", more="") + f"\n{LINE} geometry=g length=1 units=km",
        123.0,
    ),
    "geometry_of_unrated_wires": (
        GEOMETRY.format(name="g", wire="u", more="") + f"\n{LINE} geometry=g length=1 units=km",
        np.inf,
    ),
    "geometry_that_says_it": (
        GEOMETRY.format(name="g", wire="u", more="normamps=77") + f"\n{LINE} geometry=g length=1",
        77.0,
    ),
    "geometry_then_own": (
        GEOMETRY.format(name="g", wire="u", more="") + f"\n{LINE} geometry=g length=1 normamps=55",
        55.0,
    ),
    "spacing_of_rated_wires": (f"{SPACING}\n{LINE} spacing=sp wires=[w w w] length=1", 123.0),
    "spacing_of_unrated_wires": (f"{SPACING}\n{LINE} spacing=sp wires=[u u u] length=1", np.inf),
    "reactor": ("New Reactor.t bus1=s bus2=t r=0.1 x=1", np.inf),
    "reactor_with": ("New Reactor.t bus1=s bus2=t r=0.1 x=1 normamps=88", 88.0),
    "reactor_by_size": (
        "New Reactor.t bus1=s bus2=t kv=12.47 kvar=900",
        900.0 / (np.sqrt(3.0) * 12.47),  # what it draws at its voltage
    ),
}


def read(tmp_path, lines):
    path = tmp_path / "rated.dss"
    path.write_text(HEAD + lines + "\n" + TAIL)
    return read_feeder(path).lines


@pytest.mark.parametrize("case", CASES)
def test_a_rating_is_what_the_file_states(tmp_path, case):
    text, amperes = CASES[case]
    lines = read(tmp_path, text)
    place = lines.ids.index("reactor.t" if "Reactor" in text else "t")
    assert lines.rating_a[place] == pytest.approx(amperes)
    assert (lines.ids[place] in lines.unrated_ids) == np.isinf(amperes)


@pytest.mark.parametrize("stated", [0.0, -5.0])
def test_a_stated_rating_is_still_positive(tmp_path, stated):
    with pytest.raises(ConfigError, match=f"Line.t: normamps = {stated:g} must be a positive"):
        read(tmp_path, f"{LINE} linecode=plain length=1 normamps={stated}")
