import numpy as np
import pytest

from momentum_optax.sweeps import (
    grid,
    integers,
    log,
    one_minus_log,
    points_from_dict,
    points_from_toml,
    random,
    sobol,
    zip_points,
)


def rows(points):
    return [dict(point) for point in points]


def write(folder, text):
    path = folder / "points.toml"
    path.write_text(text)
    return path


RATE = {"scale": "log", "low": 1e-3, "high": 1}
BETA = {"scale": "one_minus_log", "low": 0, "high": 0.999}
METHODS = ["heavy_ball", "nesterov"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "learning_rate = [0.01, 0.1]\nlayers = [1, 2]\nnesterov = [true, false]",
            lambda: grid(learning_rate=[0.01, 0.1], layers=[1, 2], nesterov=[True, False]),
        ),
        (
            """
            method = ["heavy_ball", "nesterov"]
            [learning_rate]
            scale = "log"
            low = 1e-3
            high = 1
            count = 8
            [layers]
            scale = "integers"
            low = 1
            high = 2
            """,
            lambda: grid(method=METHODS, learning_rate=log(1e-3, 1, count=8), layers=integers(1, 2)),
        ),
        (
            """
            sampler = "zip"
            learning_rate = [1.0, 0.1, 0.1]
            beta = { scale = "linear", low = 0, high = 0.5, count = 3 }
            """,
            lambda: zip_points(learning_rate=[1.0, 0.1, 0.1], beta=[0.0, 0.25, 0.5]),
        ),
        (
            """
            sampler = "random"
            n = 20
            seed = 4
            method = ["heavy_ball", "nesterov"]
            beta = { scale = "one_minus_log", low = 0, high = 0.999 }
            """,
            lambda: random(20, seed=4, method=METHODS, beta=one_minus_log(0, 0.999)),
        ),
        (
            'sampler = "sobol"\nn = 20\n[learning_rate]\nscale = "log"\nlow = 1e-3\nhigh = 1',
            lambda: sobol(20, learning_rate=log(1e-3, 1)),
        ),
        (
            """
            [[join]]
            method = ["sgd"]
            learning_rate = [0.1, 1.0]
            [[join]]
            method = ["heavy_ball"]
            learning_rate = [0.1]
            beta = [0.5, 0.9]
            """,
            lambda: (
                grid(method=["sgd"], learning_rate=[0.1, 1.0])
                + grid(method=["heavy_ball"], learning_rate=[0.1], beta=[0.5, 0.9])
            ),
        ),
        (
            """
            [[product]]
            sampler = "zip"
            learning_rate = [1.0, 0.1]
            beta = [0.0, 0.9]
            [[product]]
            layers = [1, 2]
            """,
            lambda: zip_points(learning_rate=[1.0, 0.1], beta=[0.0, 0.9]) * grid(layers=[1, 2]),
        ),
        (
            """
            method = ["sgd", "heavy_ball"]
            [nesterov]
            values = [true, false]
            when = { method = "sgd" }
            """,
            lambda: grid(method=["sgd", "heavy_ball"], nesterov=[True, False]).only_when("nesterov", method="sgd"),
        ),
    ],
)
def test_a_file_says_what_a_call_says(tmp_path, text, expected):
    points = points_from_toml(write(tmp_path, text))
    assert rows(points) == rows(expected())
    assert [list(map(type, p.values())) for p in points] == [list(map(type, p.values())) for p in expected()]


def test_a_dict_takes_scales_and_arrays():
    points = points_from_dict({"learning_rate": log(0.01, 1, count=3), "beta": np.array([0.5])})
    assert rows(points) == rows(grid(learning_rate=[0.01, 0.1, 1.0], beta=[0.5]))


def test_conditions_are_taken_from_the_outside_in():
    inner = {"values": [1, 2], "when": {"restart": True}}
    outer = {"values": [True, False], "when": {"method": ["nesterov", "qhm"]}}
    spec = {"period": inner, "restart": outer, "method": ["sgd", "nesterov", "qhm"]}
    assert {tuple(sorted(row.items())) for row in rows(points_from_dict(spec))} == {
        (("method", "sgd"),),
        *((("method", m), ("restart", False)) for m in ("nesterov", "qhm")),
        *((("method", m), ("period", p), ("restart", True)) for m in ("nesterov", "qhm") for p in (1, 2)),
    }


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ([1], r"described by a table of hyperparameters, not by \[1\]"),
        ({}, "there is no hyperparameter; give at least one, such as learning_rate"),
        ({"sampler": "grid"}, "there is no hyperparameter"),
        ({"sampler": "sobel", "beta": [1.0]}, "sampler: 'sobel' is none of grid, zip, random, sobol"),
        ({"sampler": ["grid"], "beta": [1.0]}, r"sampler: \['grid'\] is none of grid"),
        ({"sampller": "sobol"}, "sampller: give a list of values .* not 'sobol'.* settings are sampler, n, seed"),
        ({"n": 4, "beta": [1.0]}, "n: this is for the samplers random and sobol, not for grid"),
        ({"sampler": "zip", "seed": 4, "beta": [1.0]}, "seed: this is for the samplers .* not for zip"),
        ({"sampler": "sobol", "beta": BETA}, "n: say how many points sobol draws, such as n = 64"),
        ({"sampler": "sobol", "n": 1.5, "beta": BETA}, "n must be a whole number of at least 1, not 1.5"),
        ({"sampler": "random", "n": 1, "seed": "a", "beta": BETA}, "seed must be a whole number .* not 'a'"),
        ({"beta": []}, "beta: give at least one value"),
        ({"beta": [0.5, 0.5]}, "beta: 0.5 is given twice"),
        ({"beta": [0.5, {}]}, "beta: every value must be a number, a string or a boolean, not {}"),
        ({"beta": 0.5}, "beta: give a list of values to try, not 0.5"),
        ({"beta": {}}, "beta: there is no scale; give scale, low and high, or values"),
        ({"beta": {"scale": "linear", "low": 0}}, "beta: there is no high; give scale, low and high"),
        ({"beta": {**BETA, "lo": 1}}, "beta: there is no key 'lo'; accepted are values, scale, low, high, count, when"),
        ({"beta": {"values": [1.0], "low": 1}}, "beta: give values or a scale, but not both values and low"),
        ({"beta": {**BETA, "scale": "ln"}}, "beta: scale 'ln' is none of linear, log, one_minus_log, integers"),
        ({"beta": {**BETA, "scale": ["log"]}}, r"beta: scale \['log'\] is none of"),
        ({"beta": BETA}, "beta: a grid must know how many values to try; give one_minus_log a count"),
        ({"beta": {**BETA, "high": 1, "count": 2}}, "beta: one_minus_log: .* not 0.0 and 1.0"),
        ({"rate": {**RATE, "low": 0, "count": 2}}, "rate: log: low must be above 0 in float32, not 0.0"),
        ({"rate": {**RATE, "low": 2, "count": 2}}, "rate: log: low must be below high in float32, not 2.0 and 1.0"),
        ({"sampler": "zip", "a": [1], "b": [1, 2]}, "zip_points: .* a has 1, b has 2"),
        ({3: [1.0]}, "3: the name of a hyperparameter must be text"),
        ({"rank": [1.0]}, "rank: a hyperparameter cannot be called so"),
        ({"join": [], }, r"join: give a list of one or more tables of hyperparameters, not \[\]"),
        ({"join": {"a": [1]}}, "join: give a list of one or more tables"),
        ({"join": [{"a": [1]}], "n": 3}, "n: nothing may stand beside join"),
        ({"join": [{"a": [1]}, {"a": []}]}, r"join\[1\]: a: give at least one value"),
        ({"join": [{"a": [1]}, {"a": [1]}]}, "join: Points 0 and 1 are the same"),
        ({"product": [{"a": [1]}, {"a": [1]}]}, "product: a: both factors of a product"),
        ({"a": [1], "b": {"values": [1], "when": "a"}}, "b: when must be a table such as .* not 'a'"),
        ({"a": [1], "b": {"values": [1], "when": {"c": 1}}}, "b: when: 'c' is no other hyperparameter; there are a"),
        ({"a": [1], "b": {"values": [1], "when": {"b": 1}}}, "b: when: 'b' is no other hyperparameter; there are a"),
        ({"a": ["x", "y"], "b": {"values": [1], "when": {"a": ["x", "z"]}}}, "a is never 'z'; it is one of 'x', 'y'"),
        ({"a": [1], "b": {"values": [1], "when": {"a": []}}}, "b: when: a: give at least one value"),
        ({"a": RATE, "b": {"values": [1], "when": {"a": 1.0}}}, "b: when: a has a scale; only on one with values"),
        (
            {"a": {"values": [1], "when": {"b": 1}}, "b": {"values": [1], "when": {"a": 1}}},
            "when: (a depends on b depends on a|b depends on a depends on b); such a circle is not accepted",
        ),
    ],
)  # fmt: skip
def test_bad_descriptions(spec, words):
    with pytest.raises(ValueError, match=words):
        points_from_dict(spec)


def test_errors_name_the_file(tmp_path):
    path = write(tmp_path, "[beta]\nscale = 'log'\nlow = 0\nhigh = 1")
    with pytest.raises(ValueError, match=r"points\.toml: beta: log: low must be above 0 in float32, not 0\.0"):
        points_from_toml(path)
    path = write(tmp_path, "beta = 1 2")
    with pytest.raises(ValueError, match=r"points\.toml: this is no TOML: .* line 1"):
        points_from_toml(path)
    path.write_bytes(b"beta = ['\xff']")
    with pytest.raises(ValueError, match=r"points\.toml: this is no TOML: "):
        points_from_toml(path)
    path = write(tmp_path, "beta = [1979-05-27]")
    with pytest.raises(ValueError, match=r"points\.toml: beta: every value must be a number, a string or a boolean"):
        points_from_toml(str(path))
    with pytest.raises(OSError, match=r"nothing\.toml"):
        points_from_toml(tmp_path / "nothing.toml")
