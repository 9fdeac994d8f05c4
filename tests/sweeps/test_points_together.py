"""Points joined, multiplied, filtered, and with hyperparameters that exist only sometimes."""

import pytest

from momentum_optax.sweeps import grid, linear, random, zip_points


def rows(points):
    return [dict(point) for point in points]


METHODS = grid(method=["sgd", "heavy_ball"], learning_rate=[0.1, 1.0], nesterov=[True, False])


def test_a_sum_has_the_points_of_both():
    a, b = grid(learning_rate=[0.1, 0.2]), grid(learning_rate=[0.3])
    assert rows(a + b) == rows(a) + rows(b)
    with pytest.raises(ValueError, match=r"Points 1 and 2 are the same, {'learning_rate': 0\.2}"):
        a + grid(learning_rate=[0.2])
    with pytest.raises(TypeError):
        a + rows(b)


def test_a_product_has_every_combination():
    pairs = zip_points(learning_rate=[0.1, 1.0], beta=[0.9, 0.0])
    assert rows(pairs * grid(layers=[1, 2])) == [
        {"learning_rate": rate, "beta": beta, "layers": layers}
        for rate, beta in ((0.1, 0.9), (1.0, 0.0))
        for layers in (1, 2)
    ]
    with pytest.raises(ValueError, match="beta: both factors of a product have this hyperparameter"):
        pairs * grid(beta=[0.5])


def test_where_keeps_the_order():
    points = METHODS.where(lambda p: p["learning_rate"] < 1 or p["nesterov"])
    assert rows(points) == [p for p in rows(METHODS) if p["learning_rate"] < 1 or p["nesterov"]]
    assert len(points) == 6
    with pytest.raises(ValueError, match="holds for none of the 8 points"):
        METHODS.where(lambda p: p["learning_rate"] > 1)


def test_a_hyperparameter_that_exists_only_for_one_method():
    points = METHODS.only_when("nesterov", method="sgd")
    assert rows(points) == [
        {"method": "sgd", "learning_rate": 0.1, "nesterov": True},
        {"method": "sgd", "learning_rate": 0.1, "nesterov": False},
        {"method": "sgd", "learning_rate": 1.0, "nesterov": True},
        {"method": "sgd", "learning_rate": 1.0, "nesterov": False},
        {"method": "heavy_ball", "learning_rate": 0.1},
        {"method": "heavy_ball", "learning_rate": 1.0},
    ]
    assert [(p.structure, p.indices) for p in points.programs()] == [
        ({"method": "sgd", "nesterov": True}, (0, 2)),
        ({"method": "sgd", "nesterov": False}, (1, 3)),
        ({"method": "heavy_ball"}, (4, 5)),
    ]


def test_conditions_on_several_values_and_on_one_another():
    points = grid(a=[1, 2, 3], b=[False, True], c=[0.5, 0.25]).only_when("b", a=[2, 3]).only_when("c", b=True, a=2)
    assert rows(points) == [
        {"a": 1},
        {"a": 2, "b": False},
        {"a": 2, "b": True, "c": 0.5},
        {"a": 2, "b": True, "c": 0.25},
        {"a": 3, "b": False},
        {"a": 3, "b": True},
    ]


def test_a_condition_on_a_number_is_in_float32():
    points = grid(beta=[0.1, 0.5], dampening=[0.3]).only_when("dampening", beta=0.1 + 1e-12)
    assert rows(points) == [{"beta": 0.1, "dampening": 0.3}, {"beta": 0.5}]
    assert len(grid(x=[1, True], y=["p", "q"]).only_when("y", x=True)) == 3


def test_conditions_of_points_that_were_drawn():
    points = random(20, method=["sgd", "heavy_ball"], beta=linear(0, 1)).only_when("beta", method="heavy_ball")
    assert all(("beta" in point) == (point["method"] == "heavy_ball") for point in points)
    assert rows(points).count({"method": "sgd"}) == 1


@pytest.mark.parametrize(
    ("name", "when", "words"),
    [
        ("nesterov", {}, r"say when nesterov exists, such as only_when\('nesterov', method='sgd'\)"),
        ("nestrov", {"method": "sgd"}, "no hyperparameter 'nestrov'; there are method, learning_rate, nesterov"),
        ("nesterov", {"metod": "sgd"}, "no hyperparameter 'metod'; there are method"),
        ("nesterov", {"nesterov": True}, "nesterov cannot depend on itself"),
        ("nesterov", {"method": "sdg"}, "exist in no point, .*'sdg'}; method is 'sgd', 'heavy_ball'"),
        ("nesterov", {"method": []}, "method: give at least one value"),
    ],
)
def test_bad_conditions(name, when, words):
    with pytest.raises(ValueError, match=words):
        METHODS.only_when(name, **when)


def test_a_slice_of_nothing_is_refused():
    assert rows(METHODS[-2:]) == rows(METHODS)[-2:]
    with pytest.raises(ValueError, match="leaves none of 8"):
        METHODS[8:]
