import jax.numpy as jnp
import numpy as np
import pytest

from momentum_optax.sweeps import Points, grid


def test_grid_is_every_combination_in_order():
    points = grid(learning_rate=[0.1, 1.0], beta=[0.0, 0.9])
    assert [(p["learning_rate"], p["beta"]) for p in points] == [
        (0.1, 0.0),
        (0.1, 0.9),
        (1.0, 0.0),
        (1.0, 0.9),
    ]
    arrays = points.arrays()
    assert arrays["beta"].dtype == np.float32
    np.testing.assert_array_equal(arrays["beta"], np.float32([0, 0.9, 0, 0.9]))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"beta": []}, "beta: give at least one value"),
        ({"beta": [0.5, 0.5]}, "beta: 0.5 is given twice"),
        ({"beta": [float("nan")]}, "beta: every value must be a finite number in float32, not nan"),
        ({"beta": ["0.9"]}, "beta: every value must be a finite number in float32, not '0.9'"),
        ({"beta": [1e300]}, "beta: every value must be a finite number in float32, not 1e[+]300"),
        ({"beta": [10**400]}, "beta: every value must be a finite number in float32"),
        ({"beta": [1.0, 1 + 1e-9]}, "beta: 1.000000001 is given twice"),
        ({"beta": 0.1}, "beta: give a list of values to try, not 0.1"),
        ({"beta": "0.1"}, "beta: give a list of values to try, not '0.1'"),
        ({"rank": [1.0]}, "rank: a hyperparameter cannot be called so"),
        ({}, "at least one hyperparameter"),
        ({"beta": [True]}, "not True"),
    ],
)
def test_bad_grids(values, words):
    with pytest.raises(ValueError, match=words):
        grid(**values)


def test_grid_accepts_arrays_and_iterators():
    points = grid(learning_rate=jnp.array([0.5, 1.0]), beta=np.array([0.25]), nu=iter([1]))
    assert [dict(p) for p in points] == [{"learning_rate": x, "beta": 0.25, "nu": 1} for x in (0.5, 1.0)]


def test_bad_points():
    with pytest.raises(ValueError, match=r"point 0 is 0\.1"):
        Points([0.1])
    with pytest.raises(ValueError, match=r"beta: every value must be .* not \[0.1\]"):
        Points({"beta": [0.1]})
    with pytest.raises(ValueError, match="the list of points is empty"):
        Points([])
    with pytest.raises(ValueError, match=r"point 1 has \['b'\]"):
        Points([{"a": 1.0}, {"b": 1.0}])
