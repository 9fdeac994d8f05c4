"""Scheduled restart SGD against the authors' code."""

import jax.numpy as jnp
import numpy as np
import oracles_restarts
import pytest
from helpers import START, assert_close, curved, descend, feed, noise

import momentum_optax as mo


@pytest.mark.parametrize("period", [1, 7, 40])
def test_params_are_those_of_the_authors(period):
    expected = oracles_restarts.srsgd(curved, START, 30, 0.05, period)
    actual = descend(mo.srsgd, {"learning_rate": 0.05, "period": period}, traced=True)
    assert_close(actual.params, expected)


def test_it_is_nesterov_under_a_schedule():
    def beta(count):
        j = (count - 1) % 7
        return jnp.where(count == 0, 0.0, j / (j + 3.0))

    one = descend(mo.srsgd, {"learning_rate": 0.05, "period": 7})
    other = descend(mo.nesterov, {"learning_rate": 0.05, "beta": beta})
    assert_close(one.params, other.params)
    assert_close(one.answers, other.answers)


def test_a_growing_period_restarts_from_where_it_is():
    """3, then 5 from the fourth update on: the counter goes on, no remainder of a global count is taken."""
    tx = mo.scale_by_srsgd(lambda count: jnp.where(count < 3, 3, 5))
    _, states = feed(tx, noise(12, 2))
    assert [float(p) for p in states.phase] == [1, 2, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    np.testing.assert_allclose(states.ahead[:5], [0, 1 / 4, 2 / 5, 0, 1 / 4])


def test_a_tree_of_periods_is_several_runs():
    steps = {"a": noise(9, 2), "b": noise(9, 3, seed=1)}
    together, _ = feed(mo.scale_by_srsgd({"a": 2, "b": 4}), steps)
    for name, period in (("a", 2), ("b", 4)):
        alone, _ = feed(mo.scale_by_srsgd(period), steps[name])
        np.testing.assert_array_equal(together[name], alone)


@pytest.mark.parametrize("period", [0, 0.5, -3, float("inf")])
def test_a_period_below_one_is_refused(period):
    with pytest.raises(ValueError, match="period must be finite and at least 1"):
        mo.srsgd(0.1, period)
