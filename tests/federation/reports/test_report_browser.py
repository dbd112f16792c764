"""The page in a real Chromium: nothing in the console, nothing too wide, nothing unnamed."""

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.steps import steps_summary
from gridproof.federation.records.lock import writing
from gridproof.federation.reports.campaign_page import write_report
from gridproof.federation.reports.live import Campaigns
from gridproof.federation.reports.live_server import PageServer
from gridproof.federation.reports.steps_page import write_steps_report
from gridproof.federation.studies.study import load_study

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="Debian's chromium and chromium-driver are not installed"
)

WIDE, NARROW = 1280, 390


class Browser:
    """As much of the W3C WebDriver protocol as the page needs to be looked at."""

    def __init__(self, port, session):
        self._base = f"http://127.0.0.1:{port}/session/{session}"

    def say(self, method, path, body=None):
        return say(method, self._base + path, body)

    def run(self, script):
        return self.say("POST", "/execute/sync", {"script": script, "args": []})

    def tool(self, command, **params):
        return self.say("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def open(self, path, width, *, dark=False):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.tool("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tool("Emulation.setEmulatedMedia", features=[scheme])
        self.say("POST", "/url", {"url": path.as_uri()})

    def console(self):
        return self.say("POST", "/se/log", {"type": "browser"})


def say(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error


@contextmanager
def chromium(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "driver.log").open("w") as log:
        driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 20.0
        while True:
            try:
                say("GET", f"http://127.0.0.1:{port}/status")
                break
            except OSError:
                assert time.monotonic() < until, "chromedriver did not answer in 20 s"
                time.sleep(0.05)
        options = {
            "binary": CHROMIUM,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu",
                     f"--user-data-dir={folder / 'chromium'}"],
        }  # fmt: skip
        asked = {"browserName": "chrome", "goog:chromeOptions": options,
                 "goog:loggingPrefs": {"browser": "ALL"}}  # fmt: skip
        session = say("POST", f"http://127.0.0.1:{port}/session",
                      {"capabilities": {"alwaysMatch": asked}})  # fmt: skip
        browser = Browser(port, session["sessionId"])
        try:
            yield browser
        finally:
            browser.say("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(10)


@pytest.fixture(scope="module")
def page(tmp_path_factory, write_toy):
    """Report of a small campaign under both judges in which limits are left."""
    folder = tmp_path_factory.mktemp("browser")
    study = load_study(
        write_toy(folder),
        ["campaign.samples=120", "campaign.judge=both", "campaign.recourse=fixed",
         "uncertainty.spread=0.9", "planner.method=nominal", "limits.v_min_pu=0.97"],
    )  # fmt: skip
    result = run_campaign(study, folder / "c", mode="local")
    return write_report(result.store, study.scenario, folder / "elsewhere" / "report")


@pytest.fixture(scope="module")
def steps_page(tmp_path_factory, write_storm):
    """Report of a small study of several steps."""
    folder = tmp_path_factory.mktemp("steps")
    study = load_study(write_storm(folder), ["campaign.samples=60"])
    store = run_campaign(study, folder / "c", mode="local").store
    return write_steps_report(store, study.scenario, folder / "report", steps_summary(store))


@pytest.fixture(params=["page", "steps_page"])
def any_page(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


TOO_WIDE = """
const inside = (e) => e.closest('.scroll') !== null;
return [...document.body.querySelectorAll('*')].filter((e) => !inside(e) &&
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5 &&
  getComputedStyle(e).position !== 'absolute').map((e) => e.outerHTML.slice(0, 120));
"""
WIDTHS = "const r = document.documentElement; return [r.scrollWidth, r.clientWidth];"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_in_the_console_and_nothing_too_wide(browser, any_page, width, dark):
    browser.open(any_page, width, dark=dark)
    assert browser.run("return document.readyState") == "complete"
    assert browser.run("return window.innerWidth") == width
    scroll, client = browser.run(WIDTHS)
    assert scroll <= client <= width
    assert browser.run(TOO_WIDE) == []
    assert browser.console() == []


HIDDEN = """
return [...document.querySelectorAll('.scroll > table')].filter((t) =>
  t.parentElement.scrollWidth > t.parentElement.clientWidth + 1).map((t) => t.caption.textContent);
"""


def test_no_table_is_cut_on_a_phone(browser, any_page):
    """What has many columns is set as cards there, each value with its heading beside it."""
    browser.open(any_page, 400)
    assert browser.run(HIDDEN) == []
    labels = browser.run("""
      return [...document.querySelectorAll('.cards td')].map((e) =>
        getComputedStyle(e, '::before').content);""")
    assert labels
    assert all(label not in ("none", '""') for label in labels)
    browser.open(any_page, WIDE)
    assert (
        browser.run("""
      return getComputedStyle(document.querySelector('.cards td')).display""")
        == "table-cell"
    )


def test_what_is_told_at_a_place_is_found_by_the_pointer(browser, page):
    """The middle of every bus's mark is a shape with a title: nothing lies over it."""
    browser.open(page, WIDE)
    told = browser.run("""
      const found = [];
      for (const e of document.querySelectorAll('svg[aria-labelledby^="one-line"] .hover circle')) {
        e.scrollIntoView({block: 'center'});
        const b = e.getBoundingClientRect();
        const at = document.elementFromPoint(b.x + b.width / 2, b.y + b.height / 2);
        const title = at && at.querySelector('title');
        found.push(title ? title.textContent : '');
      }
      return found;""")
    assert len(told) > 5
    assert all(told)
    assert any(words.startswith("bus ") and "kW" in words for words in told)


def test_the_console_would_have_told(browser, page, tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text("<!doctype html><title>x</title><script>missing()</script>")
    browser.open(broken, WIDE)
    assert any("missing is not defined" in entry["message"] for entry in browser.console())
    wide = tmp_path / "wide.html"
    wide.write_text(page.read_text().replace("<main", "<div style='width:2000px'>x</div><main", 1))
    browser.open(wide, WIDE)
    assert browser.run(TOO_WIDE)


def test_every_figure_is_named_and_described(browser, page):
    browser.open(page, WIDE)
    figures = browser.run("""
      return [...document.querySelectorAll('svg, img')].map((e) => {
        const named = (e.getAttribute('aria-labelledby') || '').split(' ').filter(Boolean)
          .map((id) => document.getElementById(id));
        return [e.getAttribute('role'), e.getAttribute('alt'),
                named.map((n) => n && n.textContent.trim().length)];
      });""")
    assert len(figures) == 5
    for role, alt, named in figures:
        assert role == "img"
        assert alt or (len(named) == 2 and all(named))


def test_the_page_over_all_steps_leads_to_each(browser, steps_page):
    browser.open(steps_page, WIDE)
    links = browser.run("""
      return [...document.querySelectorAll('main a')].map((a) => [a.textContent, a.href]);""")
    assert [text for text, _ in links] == [
        "Step 0, before", "Step 1, automatic isolation", "Step 2, remote isolation",
        "Step 3, remote reconfiguration",
    ]  # fmt: skip
    for text, address in links:
        browser.say("POST", "/url", {"url": address})
        title = browser.run("return document.querySelector('h1').textContent")
        assert text.split(", ")[1] in title
        assert browser.console() == []


def test_landmarks_headings_and_tables(browser, page):
    browser.open(page, WIDE)
    found = browser.run("""
      const all = (q) => [...document.querySelectorAll(q)];
      return {
        lang: document.documentElement.lang, title: document.title,
        landmarks: ['header', 'nav', 'main', 'footer'].map((q) => all(q).length),
        levels: all('h1, h2, h3').map((e) => +e.tagName[1]),
        tables: all('table').map((t) => [!!t.caption && t.caption.textContent.trim().length > 0,
          [...t.querySelectorAll('th')].every((h) => ['col', 'row'].includes(h.scope)),
          [...t.rows].every((r) => r.cells.length === t.rows[0].cells.length)]),
        ids: all('[id]').map((e) => e.id),
        targets: all('a[href^="#"]').map((a) => !!document.getElementById(a.hash.slice(1))),
        scripts: all('script').length,
        remote: all('[src], link[href], image').map((e) => e.getAttribute('src') || e.href || '')
          .filter((u) => u && !String(u).startsWith('data:')),
      };""")
    assert found["lang"] == "en"
    assert "toy" in found["title"]
    assert found["landmarks"] == [1, 1, 1, 1]
    assert found["levels"] == [1] + [2] * 8
    assert len(found["tables"]) >= 9
    assert all(all(table) for table in found["tables"])
    assert len(found["ids"]) == len(set(found["ids"]))
    assert found["targets"]
    assert all(found["targets"])
    assert found["scripts"] == 0
    assert found["remote"] == []


def test_by_keyboard(browser, page):
    """Tab reaches the skip link, the sections and what scrolls, and shows where it is."""
    browser.open(page, NARROW)
    seen = []
    for _ in range(14):
        for kind in ("rawKeyDown", "keyUp"):
            browser.tool("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)
        seen.append(
            browser.run("""
          const e = document.activeElement, s = getComputedStyle(e);
          return [e.tagName, e.className, s.outlineStyle, e.getBoundingClientRect().width > 0];""")
        )
    assert seen[0][:2] == ["A", "skip"]
    assert all(outline == "solid" and visible for _, _, outline, visible in seen)
    assert any("scroll" in name for _, name, _, _ in seen)


def test_the_screen_reader_tree_names_figures_and_tables(browser, page):
    browser.open(page, WIDE)
    browser.tool("Accessibility.enable")
    nodes = browser.tool("Accessibility.getFullAXTree")["nodes"]
    told = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored") and "role" in node
    ]
    for role in ("image", "table", "region", "navigation", "main"):
        names = [name for kind, name in told if kind == role]
        assert names, role
        assert role == "main" or all(names), role


CONTRAST = """
const light = (c) => { const v = c.match(/[0-9.]+/g).slice(0, 3).map((x) => x / 255)
  .map((x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
const ground = (e) => { for (; e; e = e.parentElement) { const b = getComputedStyle(e)
  .backgroundColor; if (!b.endsWith(', 0)') && b !== 'transparent') return b; }
  return 'rgb(255,255,255)'; };
return [...document.querySelectorAll('h1,h2,p,a,li,dt,dd,th,td,caption,figcaption,small')].map(
  (e) => { const a = light(getComputedStyle(e).color), b = light(ground(e));
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 90)]; })
  .filter((one) => one[0] < 4.5);
"""


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(browser, any_page, dark):
    browser.open(any_page, WIDE, dark=dark)
    assert browser.run(CONTRAST) == []


def test_it_prints(browser, page):
    browser.open(page, WIDE)
    printed = base64.b64decode(browser.say("POST", "/print", {"background": False}))
    assert printed.startswith(b"%PDF")
    browser.tool("Emulation.setEmulatedMedia", media="print")
    shown = browser.run("return getComputedStyle(document.querySelector('nav')).display")
    clipped = browser.run("""
      return [...document.querySelectorAll('.scroll')].filter(
        (e) => getComputedStyle(e).overflowX !== 'visible').length;""")
    assert (shown, clipped) == ("none", 0)


@pytest.mark.slow
def test_a_running_campaign_is_seen_to_grow(browser, write_toy, tmp_path):
    """A page that is open shows what has come, without a touch, and says when it is whole."""
    study = load_study(write_toy(tmp_path), ["campaign.samples=4096"])
    root = tmp_path / "all" / "c"
    run_campaign(study, root, mode="local")
    (last,) = (root / "parts").glob("*1.parquet")
    last.rename(tmp_path / "later")
    (tmp_path / "pages").mkdir()
    campaigns = Campaigns(tmp_path / "all", tmp_path / "pages", every_s=1.0)
    with PageServer(campaigns, 0) as server, writing(root):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.say("POST", "/url", {"url": server.address})
        listed = browser.run("return document.body.textContent")
        assert "running" in listed
        assert "of 4" in listed
        browser.run("document.querySelector('a').click()")
        until = time.monotonic() + 30.0
        while "2\u202f048 of 4\u202f096" not in browser.run("return document.body.textContent"):
            assert time.monotonic() < until, "the page of the first part did not come in 30 s"
            time.sleep(0.2)
        (tmp_path / "later").rename(last)
        until = time.monotonic() + 30.0
        while "4\u202f096 of 4\u202f096" not in browser.run("return document.body.textContent"):
            assert time.monotonic() < until, "the open page did not show the second part in 30 s"
            time.sleep(0.2)
        assert browser.run("return document.querySelectorAll('svg').length") == 5
        assert browser.console() == []
        server.shutdown()
