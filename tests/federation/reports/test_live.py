"""Campaigns in a browser: what is shown, and that nothing else of the machine is reached."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.reports.live import Campaigns
from gridproof.federation.reports.live_server import PageServer
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError, StoreError


@contextmanager
def served(root, pages):
    pages.mkdir(exist_ok=True)
    with PageServer(Campaigns(root, pages, every_s=1.0), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


def ask(port, path, method="GET", host=None, body=None):
    """Send the path as it stands; returns status, headers and body."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    line.putrequest(method, path, skip_host=True)
    for name in [f"127.0.0.1:{port}"] if host is None else host:
        line.putheader("Host", name)
    if body:
        line.putheader("Content-Length", str(len(body)))
    line.endheaders(body)
    answer = line.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    line.close()
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory, write_toy):
    """A folder of campaigns with a whole one, what is none, a secret, and links that lead out."""
    folder = tmp_path_factory.mktemp("live")
    study = load_study(write_toy(folder), ["campaign.samples=40"])
    (folder / "all").mkdir()
    run_campaign(study, folder / "all" / "one & only", mode="local")
    (folder / "all" / "notes").mkdir()
    (folder / "secret.csv").write_text("secret")
    (folder / "all" / "notes" / "plan.html").write_text("secret")
    (folder / "away").mkdir()
    shutil.copy(folder / "all" / "one & only" / "study.json", folder / "away" / "study.json")
    (folder / "all" / "link").symlink_to(folder / "away", target_is_directory=True)
    return folder / "all"


@pytest.fixture(scope="module")
def port(root, tmp_path_factory):
    with served(root, tmp_path_factory.mktemp("pages")) as found:
        yield found


ONE = "/one%20%26%20only/"


def everything(folder):
    return {
        path.relative_to(folder): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in folder.rglob("*")
    }


def test_the_list_names_what_is_a_campaign_and_no_link(port):
    status, headers, body = ask(port, "/")
    assert status == 200
    assert b"one &amp; only" in body
    assert b"40 of 40" in body
    assert b"complete" in body
    assert b"notes" not in body
    assert b"link" not in body.split(b"<main>")[1]
    assert "Refresh" not in headers


def test_a_page_has_its_figures_and_tables_and_nothing_is_written(port, root):
    before = everything(root)
    status, headers, body = ask(port, ONE)
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert b"40 drawn realizations" in body
    assert b"all campaigns" in body
    for path, kind in (
        ("figures/one-line.svg", "image/svg+xml"),
        ("tables/outcomes.csv", "text/csv"),
    ):
        status, headers, body = ask(port, ONE + path)
        assert (status, headers["Content-Type"].split(";")[0]) == (200, kind)
        assert body
    assert everything(root) == before


def test_without_its_slash_a_page_is_found_too(port):
    status, headers, _ = ask(port, ONE[:-1])
    assert (status, headers["Location"]) == (301, ONE)


@pytest.mark.parametrize("path", [
    "/../secret.csv", "/%2e%2e/secret.csv", "/notes/plan.html", "/link/", "/link/report.html",
    ONE + "../../secret.csv", ONE + "%2e%2e/%2e%2e/secret.csv", ONE + "..%2f..%2fsecret.csv",
    ONE + "figures/%2e%2e/%2e%2e/0/report.html", ONE + "study.json", ONE + "plan.json",
    ONE + "parts/part-00000000.parquet", ONE + "figures/", ONE + "/etc/passwd", "//etc/passwd",
    "/" + "a" * 5000, ONE + "x%00.csv", ONE + "figures\\one-line.svg", "/%ff%fe/",
])  # fmt: skip
def test_no_path_leads_anywhere_else(port, path):
    status, _, body = ask(port, path)
    assert status == 404
    assert b"secret" not in body


@pytest.mark.parametrize("host", [
    ["evil.example"], ["evil.example:{}"], [], ["127.0.0.1"], ["127.0.0.1:1"],
    ["127.0.0.1:{}", "evil.example"], ["127.0.0.1:{}.evil.example"], ["0.0.0.0:{}"],
])  # fmt: skip
def test_a_foreign_name_for_this_machine_is_refused(port, host):
    """A page of a foreign site whose name is pointed at loopback would read all otherwise."""
    status, _, body = ask(port, "/", host=[one.format(port) for one in host])
    assert status == 403
    assert b"one" not in body


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"]
)
def test_it_reads_only(port, method):
    status, headers, _ = ask(port, "/", method, body=b"x=1")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_head_has_the_headers_alone(port):
    status, headers, body = ask(port, "/", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 100


def test_no_site_may_frame_it_run_in_it_or_keep_it(port):
    for path in ("/", ONE, "/nothing"):
        _, headers, _ = ask(port, path)
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Python" not in headers["Server"]


def test_it_listens_on_loopback_alone(root, tmp_path):
    with PageServer(Campaigns(root, tmp_path, every_s=1.0), 0) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"
        own = {at[4][0] for at in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        for address in own - {"127.0.0.1"}:
            if not address.startswith("127."):
                with pytest.raises(OSError):  # noqa: PT011  (which one is the system's)
                    socket.create_connection((address, server.server_address[1]), 0.5).close()


def test_a_taken_port_is_one_line(root, tmp_path):
    with (
        PageServer(Campaigns(root, tmp_path, every_s=1.0), 0) as server,
        pytest.raises(ConfigError, match=r"--port \d+: .*in use; give another, or 0"),
    ):
        PageServer(Campaigns(root, tmp_path, every_s=1.0), server.server_address[1])


def test_a_link_inside_a_campaign_is_not_followed(root, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(root / "one & only", own / "bad")
    (own / "bad" / "notes").symlink_to(tmp_path)
    with served(own, tmp_path / "pages") as port:
        status, _, body = ask(port, "/bad/")
    assert status == 503
    assert b"is a link" in body


@pytest.mark.slow
def test_what_is_drawn_is_drawn_again_only_when_there_is_more(root, tmp_path):
    """A campaign that grows has its page anew; one that does not, has the page that was drawn."""
    own = tmp_path / "own"
    shutil.copytree(root / "one & only", own / "c")
    (own / "c" / "parts" / "part-00000000.parquet").rename(tmp_path / "later")
    with served(own, tmp_path / "pages") as port:
        assert ask(port, "/c/")[0] == 503  # nothing is there to draw
        (tmp_path / "later").rename(own / "c" / "parts" / "part-00000000.parquet")
        assert ask(port, "/c/")[0] == 200
        (drawn,) = (tmp_path / "pages").rglob("report.html")
        first = drawn.stat().st_mtime_ns
        assert ask(port, "/c/")[0] == 200
        assert drawn.stat().st_mtime_ns == first


def test_a_directory_that_is_none_is_refused(tmp_path):
    with pytest.raises(StoreError, match="is no directory"):
        Campaigns(tmp_path / "none", tmp_path, every_s=1.0)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another thing there")
def test_the_command_says_where_and_ends_at_ctrl_c(root):
    code = "from gridproof.federation.cli.main import main; main()"
    words = [sys.executable, "-c", code, "serve", str(root), "--port", "0"]
    server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        said = server.stderr.readline()
        port = int(said.split("http://127.0.0.1:")[1].split("/")[0])
        assert ask(port, "/")[0] == 200
        begun = time.monotonic()
        server.send_signal(signal.SIGINT)
        assert server.wait(10) == 0
        assert time.monotonic() - begun < 5.0
        assert server.stderr.read().strip() == "ended"
    finally:
        server.kill()
        server.wait()
        server.stderr.close()
