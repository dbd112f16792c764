"""Drawings: what they show, that they are stable to the byte, and that labels keep apart."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from gridproof.federation.records.environment import environment_record
from gridproof.federation.records.reading import read_campaign
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.drawing import Drawing, save_figure
from gridproof.federation.reports.layout import bus_positions, place_labels
from gridproof.federation.reports.margin_figure import figure_margins
from gridproof.federation.reports.one_line import figure_one_line
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine


@pytest.fixture(scope="module")
def scenario(tiny_scenario):
    return tiny_scenario(4, ((0, 1), (1, 2), (2, 3)))


@pytest.fixture(scope="module")
def plan(tiny_plan, scenario):
    return tiny_plan(scenario, closed=[True, False, False], energized=[True, True, False, True])


def with_places(scenario, xy):
    feeder = scenario.feeder
    return replace_feeder(feeder, replace(feeder.buses, xy=np.array(xy, float)))


def replace_feeder(feeder, buses):
    kept = {
        name: getattr(feeder, name)
        for name in ("name", "path", "lines", "transformers", "loads", "capacitors", "sources")
    }
    return type(feeder)(**kept, buses=buses)


def test_a_feeder_without_coordinates_is_a_tree(scenario):
    place = bus_positions(scenario.feeder)
    assert np.isfinite(place).all()
    assert len(np.unique(place, axis=0)) == len(place)


def test_the_feeders_own_coordinates_are_kept_and_gaps_filled(scenario):
    xy = [(float(k), float(k % 2)) for k in range(8)]
    xy[3] = (np.nan, np.nan)
    place = bus_positions(with_places(scenario, xy))
    known = [k for k in range(8) if k != 3]
    np.testing.assert_array_equal(place[known], np.array(xy)[known])
    assert np.isfinite(place[3]).all()
    assert (place[3] != place[2]).any()  # beside its only neighbour, not on it


def test_a_bus_connected_to_nothing_still_has_a_place(scenario):
    xy = [(float(k), 0.0) for k in range(8)]
    feeder = with_places(scenario, xy[:6] + [(np.nan, np.nan)] * 2)
    lines = feeder.lines
    cut = replace(lines, from_bus=np.minimum(lines.from_bus, 5), to_bus=np.minimum(lines.to_bus, 5))
    kept = {k: getattr(feeder, k) for k in ("name", "path", "buses", "transformers", "loads")}
    alone = type(feeder)(**kept, lines=cut, capacitors=feeder.capacitors, sources=feeder.sources)
    assert np.isfinite(bus_positions(alone)).all()


def test_one_line_is_drawn_and_stable_to_the_byte(plan, scenario, tmp_path):
    one = figure_one_line(plan, scenario, tmp_path / "a" / "one")
    other = figure_one_line(plan, scenario, tmp_path / "b" / "one.svg")
    assert [path.name for path in one] == ["one.svg", "one.png"]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    ElementTree.parse(one[0])
    assert b"dc:date" not in one[0].read_bytes()


def test_live_and_dead_differ_without_colour(plan, scenario, tiny_plan, tmp_path, monkeypatch):
    """Line style, marker and fill carry the meaning: read them off the drawn artists."""
    kept = []
    monkeypatch.setattr(
        "gridproof.federation.reports.one_line.save_figure",
        lambda figure, *_, **__: kept.append(figure) or (),
    )
    figure_one_line(plan, scenario, tmp_path / "x")
    (axes,) = kept[0].axes
    wires = [line for line in axes.lines if line.get_linestyle() != "None"]
    styles = {line.get_linestyle() for line in wires}
    assert styles >= {"-", "--", ":"}
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    squares = [line for line in axes.lines if line.get_marker() == "s"]
    assert sum(len(line.get_xdata()) for line in stars) == int(plan.grid_forming.sum())
    place, lines = bus_positions(scenario.feeder), scenario.feeder.lines
    filled = {
        (x, y): line.get_markerfacecolor() != "white"
        for line in squares
        for x, y in zip(*line.get_data(), strict=True)
    }
    middles = [
        tuple(place[[lines.from_bus[k], lines.to_bus[k]]].mean(axis=0).tolist())
        for k in scenario.feeder.switches
    ]
    assert filled == dict(zip(middles, plan.closed[0].tolist(), strict=True))
    texts = {text.get_text().split("\n")[0] for text in axes.texts}
    assert {"s0", "s1", "s2", "n0", "m3"} <= texts


SVG = "{http://www.w3.org/2000/svg}"


def titles(path):
    """What is told where a pointer rests, and the shape it is told at."""
    return {
        shape.find(f"{SVG}title").text: shape
        for group in ElementTree.parse(path).iter(f"{SVG}g")
        if group.get("class") == "hover"
        for shape in group
    }


def test_every_element_is_told_where_a_pointer_rests_on_it(plan, scenario, tmp_path):
    """The shapes that tell stand where matplotlib has put the marks."""
    svg, _ = figure_one_line(plan, scenario, tmp_path / "one")
    found = titles(svg)
    named = {words.split("\n")[0]: shape for words, shape in found.items()}
    for name in scenario.feeder.buses.ids:
        assert any(words.startswith(f"bus {name}: ") for words in named), name
    assert all(any(w.startswith(f"{name} at bus") for w in named) for name in plan.der_ids)
    states = {f"switch {n}: {'closed' if s else 'open'}"
              for n, s in zip(plan.switch_ids, plan.closed[0], strict=True)}  # fmt: skip
    assert states <= set(named)
    drawn = np.array([
        (float(use.get("x")), float(use.get("y")))
        for use in ElementTree.parse(svg).iter(f"{SVG}use") if use.get("x")
    ])  # fmt: skip
    circles = [one for one in found.values() if one.tag == f"{SVG}circle"]
    assert len(circles) >= len(scenario.feeder.buses.ids)
    for one in circles:
        at = float(one.get("cx")), float(one.get("cy"))
        assert np.abs(drawn - at).max(axis=1).min() < 0.1


def test_what_is_told_may_hold_anything(plan, scenario, tmp_path):
    buses = scenario.feeder.buses
    odd = replace(buses, ids=("<b>&\x1b", *buses.ids[1:]))
    strange = replace(scenario, feeder=replace_feeder(scenario.feeder, odd))
    svg, _ = figure_one_line(plan, strange, tmp_path / "one")
    assert any(words.startswith("bus <b>&\\x1b: live") for words in titles(svg))


def test_loads_have_their_demand_on_the_map(plan, scenario, tmp_path, monkeypatch):
    """kW at every bus with a load, and ± where it is uncertain, by mark as well as in words."""
    kept = []
    monkeypatch.setattr(
        "gridproof.federation.reports.one_line.save_figure",
        lambda figure, *_, **__: kept.append(figure) or (),
    )
    figure_one_line(plan, scenario, tmp_path / "x")
    (axes,) = kept[0].axes
    loads, asked = scenario.feeder.loads, scenario.load_p_kw[0].sum(axis=1)
    said = {t.get_text().split("\n")[0]: t.get_text() for t in axes.texts}
    unsure = set(scenario.uncertainty.load_ids)
    for name, bus, kw in zip(loads.ids, loads.bus, asked, strict=True):
        label = said[scenario.feeder.buses.ids[bus]]
        assert f"{kw:.0f} kW" in label
        assert label.endswith("±") == (name in unsure)
    marks = [line for line in axes.lines if line.get_marker() == "v"]
    assert sum(len(line.get_xdata()) for line in marks) == len(set(loads.bus.tolist()))
    inked = [line for line in marks if line.get_markeredgecolor() == "#222222"]
    at = {loads.ids.index(name) for name in unsure}
    assert sum(len(line.get_xdata()) for line in inked) == len({int(loads.bus[k]) for k in at}) > 0


def crossings(place, ends):
    """Pairs of wires without a common bus that cross, each pair by the signs of its triangles."""

    def side(one, other, third):
        (a, b), (c, d) = other - one, third - one
        return np.sign(a * d - b * c)

    count = 0
    for k, (a, b) in enumerate(ends):
        for c, d in ends[k + 1 :]:
            if len({a, b, c, d}) == 4:
                p, q, r, s = (place[i] for i in (a, b, c, d))
                count += side(p, q, r) * side(p, q, s) < 0 and side(r, s, p) * side(r, s, q) < 0
    return count


@pytest.mark.parametrize("most", [600, 3])
def test_wires_of_a_tree_without_coordinates_do_not_cross(tiny_scenario, most, monkeypatch):
    """Twelve blocks, neither by springs nor in rings."""
    monkeypatch.setattr("gridproof.federation.reports.layout._SPRUNG_AT_MOST", most)
    feeder = tiny_scenario(12, tuple((max(0, (k - 1) // 2), k) for k in range(1, 12))).feeder
    place, lines = bus_positions(feeder), feeder.lines
    ends = list(zip(lines.from_bus.tolist(), lines.to_bus.tolist(), strict=True))
    assert len(np.unique(place.round(9), axis=0)) == len(place)
    assert crossings(place, ends) == 0


def test_springs_draw_a_loop_round(tiny_scenario):
    """A ring of eight blocks: every wire about as long as the next, and none across."""
    feeder = tiny_scenario(8, tuple((k, (k + 1) % 8) for k in range(8))).feeder
    place, lines = bus_positions(feeder), feeder.lines
    ends = list(zip(lines.from_bus.tolist(), lines.to_bus.tolist(), strict=True))
    length = np.array([np.hypot(*(place[a] - place[b])) for a, b in ends])
    assert crossings(place, ends) == 0
    assert length.max() < 2.0 * length.min()


def test_a_figure_is_laid_out_once_and_drawn_once_a_file(plan, scenario, tmp_path, monkeypatch):
    """Not again before each file, which matplotlib does with a layout of its own."""
    drawn, laid_out = [], []
    draw, execute = Figure.draw, ConstrainedLayoutEngine.execute
    monkeypatch.setattr(Figure, "draw", lambda f, r: (drawn.append(f), draw(f, r))[1])
    monkeypatch.setattr(
        ConstrainedLayoutEngine, "execute", lambda e, f: (laid_out.append(f), execute(e, f))[1]
    )
    files = figure_one_line(plan, scenario, tmp_path / "one")
    assert (len(drawn), len(laid_out)) == (len(files), 0)  # its places are given by hand
    drawn.clear()
    chart = Drawing(3.0, 2.0)
    chart.add_subplot().plot([0, 1])
    assert len(save_figure(chart, tmp_path / "chart", png=False)) == 1
    assert (len(drawn), len(laid_out)) == (1, 1)


def test_what_a_map_is_made_of_does_not_grow_with_the_feeder(tiny_scenario, tiny_plan, tmp_path):
    """Elements of one style are one artist: a feeder of many lines costs little more to draw."""
    counts = []
    for blocks in (4, 12):
        scenario = tiny_scenario(blocks, tuple((k, k + 1) for k in range(blocks - 1)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "gridproof.federation.reports.one_line.save_figure",
                lambda figure, *_, **__: counts.append(len(figure.axes[0].lines)) or (),
            )
            figure_one_line(tiny_plan(scenario), scenario, tmp_path / "x")
    assert counts[0] == counts[1] > 0


def test_labels_do_not_cover_one_another():
    figure = Figure(figsize=(6, 4))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    points = np.array([(x, y) for x in np.linspace(0.2, 0.8, 5) for y in np.linspace(0.2, 0.8, 5)])
    figure.canvas.draw()
    labels = [(f"bus{k}", point, 4.0, {"fontsize": 7}) for k, point in enumerate(points)]
    place_labels(axes, labels, np.array([[points[0], points[-1]]]))
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    pairs = [(a, b) for k, a in enumerate(boxes) for b in boxes[k + 1 :]]
    assert not any(one.overlaps(other) for one, other in pairs)


def campaign(root, scenario, plan, made_up_batch, count=400):
    asked = {
        "samples": count, "judge": "ac", "recourse": "fixed", "sampler": "uniform",
        "confidence": 0.95,
    }  # fmt: skip
    study = {"name": "tiny", "fingerprint": "f", "config": {"campaign": asked}}
    store = CampaignStore.create(root, json.dumps(study), environment_record(1))
    sink = CampaignSink(store=store, scenario=scenario, mode="local")
    sink.accept(plan)
    sink.write(*made_up_batch(scenario, plan, 0, count))
    return store


def drawn_margins(store, path):
    reading = read_campaign(store)
    return figure_margins(reading.report, reading.margins, path)


def test_margins_are_drawn_whole_and_stable(
    scenario, tiny_plan, made_up_batch, tmp_path, monkeypatch
):
    store = campaign(tmp_path / "c", scenario, tiny_plan(scenario), made_up_batch)
    one = drawn_margins(store, tmp_path / "a")
    other = drawn_margins(store, tmp_path / "b")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    kept = []
    monkeypatch.setattr(
        "gridproof.federation.reports.margin_figure.save_figure",
        lambda figure, *_, **__: kept.append(figure) or (),
    )
    drawn_margins(store, tmp_path / "x")
    titles = [axes.get_title("left").split(":")[0] for axes in kept[0].axes]
    assert titles == ["voltage", "current", "capability", "ramp"]
    voltage = kept[0].axes[0]
    (table,) = store.tables(["outcome", "margin_voltage"], [0])
    margins = table.column("margin_voltage").to_numpy()
    erred = np.array([name == "erred" for name in table.column("outcome").to_pylist()])
    margins = margins[np.isfinite(margins) & ~erred]
    bars = [(stairs.get_data().values.sum(), stairs.get_hatch()) for stairs in voltage.patches]
    assert sum(count for count, _ in bars) == len(margins)
    hatched = sum(count for count, hatch in bars if hatch)
    assert hatched == (margins < 0.0).sum() > 0


def test_nothing_solved_is_nothing_to_draw(scenario, tiny_plan, made_up_batch, tmp_path):
    def unsolved(*args):
        drawn, setpoints, snapshots, verdicts = made_up_batch(*args)
        blank = np.full_like(verdicts.margin, np.nan)
        verdicts = replace(verdicts, outcome=np.full(len(verdicts), 4), margin=blank)
        return drawn, setpoints, snapshots, verdicts

    store = campaign(tmp_path / "c", scenario, tiny_plan(scenario), unsolved)
    with pytest.raises(ValueError, match="no realization was solved"):
        drawn_margins(store, tmp_path / "x")
