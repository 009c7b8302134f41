"""Names and paths of datasets, the catalogue, and downloads that break off."""

import hashlib
import http.server
import threading
from typing import ClassVar

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Spec
from headstart.data import registry
from headstart.data.catalogue import BUILDABLE, CATALOGUE, find_entry
from headstart.data.d4rl_format import write_d4rl
from headstart.data.download import download
from headstart.data.experience import Experience
from headstart.data.registry import built_folder, list_datasets, load


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


def small(reward: float = 1.0) -> Experience:
    spec = Spec(Box.uniform((2,), -1, 1), Box.uniform((1,), -1, 1))
    columns = {
        "observations": np.zeros((4, 2)),
        "actions": np.zeros((4, 1)),
        "rewards": np.full(4, reward),
        "next_observations": np.zeros((4, 2)),
        "terminations": np.arange(4) == 3,
        "truncations": np.zeros(4),
    }
    return Experience(spec, columns)


def test_built_and_shipped_datasets_load_by_name(tmp_path, monkeypatch):
    small(1).save(built_folder("hopper-medium"))
    assert load("hopper-medium").rewards[0] == 1
    cache = tmp_path / "cache" / "datasets"
    monkeypatch.setattr(registry, "_roots", lambda: (tmp_path / "shipped", cache))
    small(2).save(tmp_path / "shipped" / "quick")
    small(3).save(tmp_path / "shipped" / "hopper-medium")
    assert load("quick").rewards[0] == 2
    assert load("hopper-medium").rewards[0] == 1
    listed = {dataset.name: dataset for dataset in list_datasets()}
    assert (listed["quick"].source, listed["quick"].rows) == ("shipped", 4)
    assert (listed["hopper-medium"].source, listed["hopper-medium"].family) == ("built", "locomotion")
    assert listed["antmaze-umaze"].source == listed["pendulum-expert"].source == "catalogue"
    assert listed["antmaze-umaze"].how.startswith("'antmaze-umaze-v2' downloads")
    assert listed["pendulum-expert"].how == "`headstart data build pendulum-expert` builds it"
    assert len(listed) == len({*CATALOGUE, *BUILDABLE}) + 1


def test_what_is_called_buildable_has_a_recipe():
    from headstart.control.recipes.catalogue import RECIPES

    assert set(BUILDABLE) == set(RECIPES)


def test_a_name_goes_before_a_folder_that_happens_to_be_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hopper-medium").mkdir()
    small().save(built_folder("hopper-medium"))
    assert len(load("hopper-medium")) == 4
    with pytest.raises(DataError, match=r"no metadata\.json"):
        load("./hopper-medium")


def test_d4rl_files_in_the_cache_load_by_versioned_name(tmp_path):
    (tmp_path / "cache" / "downloads").mkdir(parents=True)
    write_d4rl(small(), tmp_path / "cache" / "downloads" / "hopper-medium-v2.hdf5")
    assert len(load("hopper-medium-v2")) == 4


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("hopper-medum", UsageError, "did you mean hopper-medium,"),
        ("hopper-medium", UsageError, r"headstart data build hopper-medium.*'hopper-medium-v2' downloads.*Minari's"),
        ("pendulum-expert", UsageError, "headstart data build pendulum-expert"),
        ("pendulum-expart", UsageError, "did you mean pendulum-expert"),
        ("hopper-medium-v7", UsageError, r"did you mean.*hopper-medium-v"),
        ("./missing", DataError, "does not exist"),
        ("missing.hdf5", DataError, "does not exist"),
        ("some/where", DataError, "neither a path that exists nor a Minari id"),
    ],
)
def test_what_is_not_there_is_explained(name, error, message):
    with pytest.raises(error, match=message):
        load(name)


def test_the_catalogue_holds_every_family():
    assert {entry.family for entry in CATALOGUE.values()} == {
        "locomotion",
        "pointmaze",
        "antmaze",
        "adroit",
        "kitchen",
        "grid",
        "flow",
        "carla",
        "bullet",
    }
    assert find_entry("walker2d-medium-replay-v2") is CATALOGUE["walker2d-medium-replay"]
    assert find_entry("pen-human").files["pen-human-v1"].endswith("hand_dapg_v1/pen-human-v1.hdf5")
    assert find_entry("nothing-v0") is None
    horizons = {name: CATALOGUE[name].horizon for name in ("maze2d-large", "antmaze-umaze", "door-human")}
    assert horizons == {"maze2d-large": 800, "antmaze-umaze": 700, "door-human": 200}


class Server(http.server.BaseHTTPRequestHandler):
    """Serves ``content`` with ranges; the first answer breaks off half way."""

    content = bytes(range(256)) * 1000
    broken = 0
    asked: ClassVar[list[str | None]] = []

    def do_GET(self):
        start = 0
        asked = self.headers.get("Range")
        self.asked.append(asked)
        if self.path == "/missing":
            self.send_error(404)
            return
        if asked:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        end = len(self.content)
        if type(self).broken:
            type(self).broken -= 1
            end = len(self.content) // 2
        self.wfile.write(self.content[start:end])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Server.broken = 0
    Server.asked.clear()
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_a_download_goes_on_where_it_broke_off(tmp_path, server):
    Server.broken = 1
    target = tmp_path / "deep" / "file.bin"
    with pytest.raises(DataError, match="cannot download"):
        download(f"{server}/file.bin", target)
    assert not target.exists()
    digest = hashlib.sha256(Server.content).hexdigest()
    assert download(f"{server}/file.bin", target, digest).read_bytes() == Server.content
    assert Server.asked == [None, "bytes=128000-"]
    download("http://127.0.0.1:1/never-asked", target)
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_downloads_that_cannot_succeed(tmp_path, server):
    with pytest.raises(DataError, match="has digest"):
        download(f"{server}/file.bin", tmp_path / "file.bin", "0" * 64)
    assert list(tmp_path.glob("file*")) == []
    with pytest.raises(DataError, match=r"cannot download .*missing"):
        download(f"{server}/missing", tmp_path / "file.bin")
    with pytest.raises(DataError, match="by other means"):
        download("http://127.0.0.1:1/file", tmp_path / "file.bin", timeout=2)
