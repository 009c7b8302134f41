"""Folders of runs that were given no name."""

import re

from headstart.runs.naming import fresh_folder


def test_a_folder_is_named_after_what_is_done_there_and_when():
    path = fresh_folder("runs", "iql", None, "my world:Env", "data set.hdf5")
    assert re.fullmatch(r"runs/iql-my-world-Env-data-set\.hdf5-\d{8}-\d{6}", str(path))


def test_a_slash_in_a_name_makes_no_folders():
    assert fresh_folder("runs", "sac", "ALE/Pong-v5").parent.name == "runs"
