import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest

from momentum_optax.sweeps import Points, grid, sweep


def rows(points):
    return [dict(point) for point in points]


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
        ({"beta": [0, 0.0]}, "beta: 0.0 is given twice"),
        ({"method": ["sgd", "sgd"]}, "method: 'sgd' is given twice"),
        ({"nesterov": [True, False, True]}, "nesterov: True is given twice"),
        ({"beta": [float("nan")]}, "beta: every value must be a finite number in float32, not nan"),
        ({"beta": ["0.9"]}, "beta: every value must be a finite number in float32, not '0.9'"),
        ({"beta": [1e300]}, "beta: every value must be a finite number in float32, not 1e[+]300"),
        ({"beta": [10**400]}, "beta: every value must be a finite number in float32"),
        ({"beta": [None]}, "beta: every value must be a number, a string or a boolean, not None"),
        ({"beta": [1.0, 1 + 1e-9]}, "beta: 1.000000001 is given twice"),
        ({"beta": 0.1}, "beta: give a list of values to try, not 0.1"),
        ({"beta": "0.1"}, "beta: give a list of values to try, not '0.1'"),
        ({"method": {"a", "b"}}, "method: give a list of values to try, not {"),
        ({"rank": [1.0]}, "rank: a hyperparameter cannot be called so"),
        ({}, "at least one hyperparameter"),
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


def test_the_type_of_a_value_says_what_it_is():
    kinds = {"a": [0, 0.5], "b": [np.int32(3)], "c": np.array([True]), "d": ["x"], "e": [np.float32(0.25)]}
    points = grid(**kinds)
    types = {name: type(points[0][name]) for name in points.names}
    assert types == {"a": float, "b": int, "c": bool, "d": str, "e": float}
    assert type(points[:1][0]["a"]) is float, "a part of points has the kinds of the whole"
    joined = grid(beta=[0]) + grid(beta=[0.5])
    assert [type(point["beta"]) for point in joined] == [float, float]
    assert len(grid(x=[True, 1])) == 2, "True is not 1"


def test_programs_group_what_can_be_compiled_together():
    points = grid(learning_rate=[0.1, 1.0], method=["a", "b"], layers=[1, 2])
    programs = points.programs()
    assert [program.structure for program in programs] == [
        {"method": m, "layers": n} for m in ("a", "b") for n in (1, 2)
    ]
    assert [program.indices for program in programs] == [(0, 4), (1, 5), (2, 6), (3, 7)]
    for structure, indices, numbers in programs:
        assert rows(numbers) == [{"learning_rate": 0.1}, {"learning_rate": 1.0}]
        assert [structure | number for number in rows(numbers)] == [points[i] for i in indices]


def test_programs_of_numbers_alone_and_of_structure_alone():
    points = grid(learning_rate=[0.1, 1.0], beta=[0.0])
    ((structure, indices, numbers),) = points.programs()
    assert (structure, indices, rows(numbers)) == ({}, (0, 1), rows(points))
    programs = grid(nesterov=[True, False]).programs()
    assert [(p.structure, p.indices, len(p.points), p.points.arrays()) for p in programs] == [
        ({"nesterov": True}, (0,), 1, {}),
        ({"nesterov": False}, (1,), 1, {}),
    ]


def test_a_number_that_some_points_lack_separates_programs():
    points = grid(learning_rate=[0.1]) + grid(learning_rate=[0.1], beta=[0.9]) + grid(learning_rate=[0.2])
    assert points.names == ("learning_rate", "beta")
    assert [(p.structure, p.indices, p.points.names) for p in points.programs()] == [
        ({}, (0, 2), ("learning_rate",)),
        ({}, (1,), ("learning_rate", "beta")),
    ]
    with pytest.raises(ValueError, match=r"beta does not exist in every point; .* programs\(\)"):
        points.arrays()


def test_text_has_no_array_and_integers_have():
    with pytest.raises(ValueError, match=r"method has the value 'sgd'; only numbers have arrays"):
        grid(method=["sgd"]).arrays()
    with pytest.raises(ValueError, match=r"nesterov has the value False"):
        grid(nesterov=[False]).arrays()
    np.testing.assert_array_equal(grid(layers=[1, 2]).arrays()["layers"], np.float32([1, 2]))


def test_a_sweep_of_each_program_is_a_sweep_of_its_points():
    def make(structure):
        return problem.make_trial(
            optimizer=lambda hp: optax.sgd(hp["learning_rate"], 0.9, nesterov=structure["nesterov"])
        )

    points = grid(learning_rate=[0.03, 0.1], nesterov=[False, True])
    losses = np.zeros(len(points))
    for structure, indices, numbers in points.programs():
        losses[list(indices)] = sweep(make(structure), numbers, seeds=1, steps=5).final("test_loss")[:, 0]
    for point, loss in zip(points, losses, strict=True):
        alone = sweep(make(point), {"learning_rate": point["learning_rate"]}, seeds=1, steps=5)
        np.testing.assert_allclose(alone.final("test_loss"), loss, rtol=1e-5)
    assert len(np.unique(losses.round(6))) == 4
