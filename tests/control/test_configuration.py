from __future__ import annotations

import pytest

from headstart.control.configuration import method_from_json, method_to_json
from headstart.control.registry import METHODS


@pytest.mark.parametrize("name", METHODS.names())
def test_fields_survive_the_record_of_a_run(name):
    method = METHODS.get(name)(discount=0.5)
    assert method_from_json(method_to_json(method)) == method
