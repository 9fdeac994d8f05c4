import json
from collections import UserDict

import numpy as np
import pytest

from momentum_optax.sweeps.storage.identity import plain
from momentum_optax.sweeps.storage.store import Store

IDENTITY = {"points": [{"learning_rate": 0.1 + 0.2, "method": "a"}, {"learning_rate": 0.3}], "steps": 100}


def test_the_file_of_an_identity_is_readable(tmp_path):
    Store(tmp_path, IDENTITY)
    assert json.loads((tmp_path / "identity.json").read_text()) == {"format": 2, **IDENTITY}


def test_the_same_sweep_in_other_words_is_welcome(tmp_path):
    Store(tmp_path, {"a": [1, 2.0], "b": {"c": float("nan")}, "f": plain})
    before = (tmp_path / "identity.json").read_bytes()
    same = {"b": UserDict(c=np.float32("nan")), "a": (np.int64(1), np.float64(2)), "f": plain}
    Store(tmp_path, same)
    assert (tmp_path / "identity.json").read_bytes() == before
    assert " at 0x" not in plain(plain)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": 200}, r"differs in steps \(there 100, here 200\)"),
        ({"steps": 100.0}, r"steps \(there 100, here 100\.0\)"),
        (
            {"points": [IDENTITY["points"][0], {"learning_rate": 0.4}]},
            r"points\[1\]\.learning_rate \(there 0\.3, here 0\.4\)",
        ),
        ({"points": IDENTITY["points"][:1]}, r"points \(there a list of 2, here a list of 1\)"),
        ({"pruning": "x" * 100}, r'pruning \(there nothing, here "x{59}\.\.\.\)'),
        ({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}, r"a .*, b .*, c \(there nothing, here 3\) and in 2 more"),
    ],
)
def test_another_sweep_is_refused(tmp_path, change, says):
    Store(tmp_path, IDENTITY)
    with pytest.raises(
        ValueError, match="is that of another sweep, .*" + says + r"\. Give another folder, or delete this"
    ):
        Store(tmp_path, {**IDENTITY, **change})
    Store(tmp_path, IDENTITY)


def test_another_version_is_warned_of(tmp_path):
    Store(tmp_path, {**IDENTITY, "versions": {"jax": "1", "numpy": "2"}, "platform": "cpu"})
    with pytest.warns(
        UserWarning, match=r'begun elsewhere: versions\.jax \(there "1", here "3"\)\. The last digits'
    ) as w:
        Store(tmp_path, {**IDENTITY, "versions": {"jax": "3", "numpy": "2"}, "platform": "cpu"})
    assert len(w) == 1
    with pytest.raises(ValueError, match="another sweep"):
        Store(tmp_path, {**IDENTITY, "steps": 1, "versions": {}, "platform": "cpu"})


@pytest.mark.parametrize(
    "name", ["sweep.json", "runs.csv", "table.csv", "runs.npz", "notes.json", "rungs", "checkpoints"]
)
def test_results_of_an_unknown_sweep_are_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("precious")
    (tmp_path / "other.txt").write_text("precious")
    with pytest.raises(ValueError, match=rf"holds {name}, but no identity\.json that says of which sweep"):
        Store(tmp_path, IDENTITY)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        (name, "other.txt"), "precious"
    )
