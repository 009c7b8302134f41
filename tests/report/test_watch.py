"""The live page: who may see it, what it tells of runs, whole or not, and a browser that watches one and stops it."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import numpy as np
import polars as pl
import pytest

from headstart.cli import main
from headstart.core.errors import DivergenceError
from headstart.report.live_metrics import LiveMetrics, thin
from headstart.report.watch_server import WatchServer
from headstart.runs.folder import RunFolder
from headstart.runs.metrics import SCHEMA
from tests.report.chromium import Chromium

TRAINEE = """
import sys, time
from headstart.runs.folder import RunFolder
plan = [{"kind": "online", "steps": 100_000}]
run = RunFolder.create(sys.argv[1], {"method": "sac", "world": "Hopper-v5", "plan": plan}, [0], accelerators=[])
with run.seed(0).record(flush_seconds=0.05) as recorder:
    recorder.note(["a world of one's own"])
    for step in range(100_000):
        recorder.log(step, step, "online", {"evaluation/return": step / 10, "loss/critic": 1 / (1 + step)})
        time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def store(tmp_path):
    """A finished run of two seeds with samples, one that failed, one half written, one tampered with."""
    folder = tmp_path / "runs"
    config = {"method": {"name": "iql", "discount": 0.99}, "world": {"name": "pendulum"}, "data": None}
    plan = [{"kind": "offline", "steps": 1000}, {"kind": "online", "steps": 500}]
    good = RunFolder.create(folder / "good", config | {"plan": plan}, [0, 3], accelerators=[])
    for seed in good.seed_folders():
        with seed.record() as recorder:
            for step in range(2000):
                recorder.log(step, 0, "offline", {"loss/critic": np.sin(step)})
            recorder.log(1999, 0, "offline", {"evaluation/return": 1999 + seed.seed})
            recorder.log(2000, 0, "offline", {"loss/critic": float("nan")})
    samples = folder / "good" / "seed-0" / "samples"
    samples.mkdir()
    (samples / "one.png").write_bytes(b"picture")
    (samples / "two.jsonl").write_text('{"prompt": "2+2", "completion": "4"}\n{"prompt": "half wri')
    (tmp_path / "secret.png").write_bytes(b"secret")
    (samples / "link.png").symlink_to(tmp_path / "secret.png")
    failed = RunFolder.create(folder / "deep" / "failed", config, [0], accelerators=[])
    with contextlib.suppress(DivergenceError), failed.seed(0).record() as recorder:
        recorder.log(5, 0, "offline", {"loss/critic": float("inf")})
        raise DivergenceError("loss/critic is inf")
    (folder / "half").mkdir()
    (folder / "half" / "run.json").write_text('{"config": {"method"')
    (folder / "tampered").mkdir()
    record = json.loads((folder / "good" / "run.json").read_text())
    (folder / "tampered" / "run.json").write_text(json.dumps(record | {"seeds": []}))
    return folder


@pytest.fixture
def server(tmp_path):
    with WatchServer([tmp_path / "runs"]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, path, method="GET", token=None, in_query=False, **headers):
    """Status and body of a request; ``token=None`` sends the right one, "" none."""
    token = server.token if token is None else token
    headers |= {"Authorization": f"Bearer {token}"} if token and not in_query else {}
    path += f"{'&' if '?' in path else '?'}token={token}" if in_query else ""
    request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def told(server, path):
    status, body = ask(server, path)
    assert status == 200, body
    return json.loads(body)


def identities(server):
    return {run["path"].rpartition("/")[2]: run["id"] for run in told(server, "/runs")["runs"]}


@pytest.mark.parametrize("path", ["/", "/watch.js", "/plotly.js", "/runs", "/runs/0123456789abcdef", "/nowhere"])
def test_nothing_is_told_without_the_token(server, path):
    for token in ("", "x", server.token[:-1], server.token + "x", "ä"):
        assert ask(server, path, token=token, in_query=token.isascii())[0] == 403
        assert ask(server, path, token=token.encode().decode("latin1"))[0] == 403
    assert ask(server, path, in_query=True)[0] == (404 if "0" in path or "no" in path else 200)


def test_other_names_and_origins_are_refused_even_with_the_token(server):
    for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1.evil.example", "", "[", "10.0.0.1"):
        assert ask(server, "/runs", Host=host)[0] == 403
    for host in ("localhost:1234", "127.0.0.1", "[::1]:80"):
        assert ask(server, "/runs", Host=host)[0] == 200
    assert ask(server, "/runs", Host="localhost:1", Origin="http://localhost:2")[0] == 403
    assert ask(server, "/runs", Host="localhost:1", Origin="http://localhost:1")[0] == 200
    assert server.server_address[0] == "127.0.0.1"
    assert urlsplit(server.address).hostname == "127.0.0.1"


def test_a_run_is_stopped_by_post_alone_and_only_if_it_runs(server, store):
    good = identities(server)["good"]
    assert ask(server, f"/runs/{good}/stop")[0] == 404
    assert ask(server, f"/runs/{good}/stop", "POST", in_query=True)[0] == 403
    assert ask(server, f"/runs/{good}/stop", "POST", token="")[0] == 403
    status, body = ask(server, f"/runs/{good}/stop", "POST")
    assert status == 400
    assert b"none of its seeds is being trained" in body
    assert ask(server, "/runs/0123456789abcdef/stop", "POST")[0] == 404


def test_no_path_leads_out_of_the_runs(server, store):
    good = identities(server)["good"]
    assert ask(server, f"/runs/{good}/samples/0/one.png") == (200, b"picture")
    for name in ("link.png", "two.jsonl", "..%2Fstatus.json", "../status.json", "..%2f..%2f..%2fsecret.png", "%00"):
        assert ask(server, f"/runs/{good}/samples/0/{name}")[0] == 404
    for path in (
        "/../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/watch.html",
        f"/runs/..%2f{store.name}",
        "/page.css",
    ):
        assert ask(server, path)[0] == 404
    assert ask(server, f"/runs/{good}/samples/7/one.png")[0] == 400


def test_the_list_names_what_is_damaged_and_finds_what_is_asked_for(server, store):
    listed = told(server, "/runs")
    assert listed["states"] == {"finished": 1, "failed": 1, "damaged": 2}
    by_name = {run["path"].rpartition("/")[2]: run for run in listed["runs"]}
    assert "not a readable record" in by_name["half"]["problem"]
    assert "tampered" in by_name["tampered"]["problem"]
    assert by_name["failed"]["problem"] == "DivergenceError: loss/critic is inf"
    assert by_name["good"]["return"] == pytest.approx(2000.5)
    assert by_name["failed"]["place"] == "deep/failed"

    def found(query):
        return {run["path"].rpartition("/")[2] for run in told(server, f"/runs?{query}")["runs"]}

    assert found("search=deep") == {"failed"}
    assert found("search=IQL+discount%3E%3D0.9") == {"good", "failed"}
    assert found("search=iql&state=finished") == {"good"}
    assert found("search=discount%3D0.5") == set()
    page = told(server, "/runs?first=1&count=2")
    assert (len(page["runs"]), page["count"], page["total"]) == (2, 4, 4)
    status, body = ask(server, "/runs?search=discnt%3D1")
    assert status == 400
    assert b"did you mean" in body
    assert ask(server, "/runs?count=many")[0] == 400


def test_a_run_is_told_with_curves_latest_values_and_samples(server, store):
    names = identities(server)
    run = told(server, f"/runs/{names['good']}?metric=loss%2Fcritic")
    assert run["state"] == "finished"
    assert run["progress"] == {"done": 3000, "total": 3000, "seconds_left": None}
    assert run["metrics"] == [
        {"name": "evaluation/return", "last": [1999.0, 2002.0]},
        {"name": "loss/critic", "last": [None, None]},
    ]
    curve = run["curves"][1]
    assert (curve["seed"], curve["updates"][0], curve["updates"][-1], curve["values"][-1]) == (3, 0, 2000, None)
    assert 150 < len(curve["values"]) <= 600
    assert max(value for value in curve["values"] if value is not None) == pytest.approx(1, abs=1e-4)
    assert told(server, f"/runs/{names['good']}")["metric"] == "evaluation/return"
    shown = {sample["name"]: sample for sample in run["samples"]}
    assert shown.keys() == {"one.png", "two.jsonl"}
    assert shown["two.jsonl"]["rows"] == [{"prompt": "2+2", "completion": "4"}]
    assert told(server, f"/runs/{names['good']}/record")["config"]["method"]["discount"] == 0.99

    failed = told(server, f"/runs/{names['failed']}")
    assert failed["seeds"][0]["error"]["message"] == "loss/critic is inf"
    assert failed["progress"] is None
    for name in ("half", "tampered"):
        status, body = ask(server, f"/runs/{names[name]}")
        assert status in (400, 500)
        assert "error" in json.loads(body)


def test_a_damaged_part_is_named_and_the_others_are_shown(server, store):
    good = identities(server)["good"]
    (store / "good" / "seed-3" / "metrics" / "part-000000000000.parquet").write_bytes(b"PAR1 half")
    (store / "good" / "seed-0" / "status.json").write_text('{"state": "running", ')
    run = told(server, f"/runs/{good}?metric=loss%2Fcritic")
    assert [len(curve["values"]) > 100 for curve in run["curves"]] == [True, False]
    assert len(run["problems"]) == 2
    assert "seed-3/metrics/part-000000000000.parquet" in run["problems"][1]
    assert run["state"] == "damaged"


def test_a_running_run_whose_status_was_tampered_with_is_listed(server, store):
    run = RunFolder.create(store / "strange", {"method": "sac", "world": "w"}, [0, 1], accelerators=[])
    with run.seed(0).record(), run.seed(1).record():
        assert told(server, "/runs?state=running")["runs"][0]["problem"] is None
        (store / "strange" / "seed-0" / "status.json").write_text("{")
        (strange,) = told(server, "/runs?search=strange")["runs"]
        assert strange["state"] == "damaged"
        facts = {"state": "running", "updates": "many", "host": "elsewhere", "heartbeat": 1e12}
        (store / "strange" / "seed-0" / "status.json").write_text(json.dumps(facts))
        (strange,) = told(server, "/runs?search=strange")["runs"]
        assert strange["problem"]


def test_thinning_keeps_extremes_ends_and_order(tmp_path):
    generator = np.random.default_rng(0)
    values = generator.normal(size=5000)
    values[1234], values[4321] = 50, -50
    columns = {"name": ["a", "b"] * 5000, "value": np.repeat(values, 2), "phase": ["online"] * 10000}
    counters = {name: np.arange(10000) // 2 for name in ("updates", "environment_steps")}
    table = pl.DataFrame(columns | counters | {"time": np.arange(10000.0)}, schema=SCHEMA)
    thinned = thin(table, 100)
    assert 600 < thinned.height <= 800
    for name in ("a", "b"):
        rows = thinned.filter(pl.col("name") == name)
        assert (rows["value"].max(), rows["value"].min(), rows["value"][-1]) == (50, -50, values[-1])
        assert rows["updates"].is_sorted()
    assert thin(table.head(40), 100).equals(table.head(40))
    table.write_parquet(tmp_path / "part-000000000000.parquet")
    live = LiveMetrics(100, parts=1)
    assert live.read(tmp_path)[0].equals(thinned)
    table.head(40).write_parquet(tmp_path / "part-000000000000.parquet")
    assert live.read(tmp_path)[0].height == 40


def test_the_command_prints_an_address_that_works_and_ends_by_ctrl_c(tmp_path, server, capsys):
    command = [sys.executable, "-c", "from headstart.cli import main; raise SystemExit(main())", "watch"]
    process = subprocess.Popen([*command, str(tmp_path / "none"), "--port", "0"], stdout=subprocess.PIPE, stderr=-1)
    try:
        address = process.stdout.readline().decode().strip()
        with urllib.request.urlopen(address, timeout=20) as reply:
            assert b"headstart" in reply.read()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address.partition("?")[0], timeout=20)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert b"there is no folder" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    assert main(["watch", str(tmp_path), "--port", str(server.server_port)]) == 2
    assert "give another" in capsys.readouterr().err


def test_a_browser_sees_a_run_grow_and_stops_it(server, store, tmp_path, chromium):
    path = store / "growing"
    process = subprocess.Popen([sys.executable, "-c", TRAINEE, str(path)], stderr=subprocess.PIPE)
    points = "document.querySelector('#curves').data?.[0].x.at(-1)"
    try:
        with Chromium(chromium, tmp_path / "profile") as page:
            page.open(server.address)
            page.wait("document.querySelector('#runs li .state.running')")
            assert page.evaluate("document.querySelector('#runs li b').textContent") == "sac · Hopper-v5"
            page.evaluate("document.querySelector('#runs li a').click()")
            first = page.wait(points)
            grown = page.wait(f"{points} > {first + 100} && {points}")
            page.wait("document.querySelector('#curves .js-line')")
            assert page.evaluate("document.querySelector('#numbers tbody').innerText").startswith("evaluation/return")
            assert page.evaluate("document.querySelector('#log pre').textContent") == "a world of one's own\n"
            page.evaluate("document.querySelector('#stop').click()")
            assert f"process {process.pid} (" in page.wait("document.querySelector('#ask-what').textContent")
            page.evaluate("document.querySelector('#yes').click()")
            page.wait("document.querySelector('#facts .state').className == 'state stopped'")
            page.wait("document.querySelector('#stop').hidden")
            assert f"headstart resume {path}" in page.evaluate("document.querySelector('#problems').innerText")
            requests = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
            assert {urlsplit(request).netloc for request in requests} == {f"127.0.0.1:{server.server_port}"}
            assert page.problems == []
            for width, height, density in ((1280, 900, 1), (390, 844, 2)):
                page.resize(width, height, density)
                page.wait(f"document.documentElement.scrollWidth <= {width} && innerWidth == {width}")
    finally:
        process.kill()
        process.wait()
    assert b"KeyboardInterrupt" in process.stderr.read()
    process.stderr.close()
    status = RunFolder.open(path).seed(0).status()
    assert status.state == "stopped"
    assert status.updates >= grown
