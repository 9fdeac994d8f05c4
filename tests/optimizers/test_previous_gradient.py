"""A second gradient that is missing, or is not one of the same params."""

import re

import jax
import jax.numpy as jnp
import optax
import pytest

import momentum_optax as mo

METHODS = {
    "storm": mo.storm(0.1), "scale_by_storm": mo.scale_by_storm(), "adaptive_storm": mo.adaptive_storm(),
    "mars": mo.mars(0.1), "scale_by_mars": mo.scale_by_mars(), "gradient_correction": mo.gradient_correction(),
    "two_point_difference": mo.two_point_difference(),
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_gradient_says_how_to_get_it(method):
    tx, x = METHODS[method], {"a": jnp.ones(2), "b": jnp.ones(())}
    with pytest.raises(ValueError, match=f"^{method} needs previous_gradient, the gradient at mo.previous_params"):
        tx.update(x, tx.init(x), x)
    for nothing in (None, optax.MaskedNode()):
        with pytest.raises(ValueError, match=f"^{method}: a leaf of previous_gradient is None"):
            tx.update(x, tx.init(x), x, previous_gradient={"a": x["a"], "b": nothing})
    with pytest.raises(ValueError, match="previous_gradient does not have the structure of the updates"):
        tx.update(x, tx.init(x), x, previous_gradient={"a": x["a"]})
    with pytest.raises(ValueError, match=f"^{method} needs the params"):
        tx.update(x, tx.init(x), previous_gradient=x)


@pytest.mark.parametrize("method", METHODS)
def test_a_previous_gradient_of_another_shape_is_refused(method):
    """Also one that could be broadcast."""
    tx, x = METHODS[method], {"layers": [jnp.ones((2, 3)), jnp.ones(3)]}
    for w, b, path in ((3, (), 0), ((2, 3), (), 1), ((2, 3), (1,), 1), ((1, 2, 3), 3, 0), ((3, 2), 3, 0)):
        previous = {"layers": [jnp.ones(w), jnp.ones(b)]}
        found, wanted = (tree["layers"][path].shape for tree in (previous, x))
        message = (
            f"{method}: previous_gradient has the shape {found} at 'layers/{path}', where the gradient has {wanted}."
        )
        with pytest.raises(ValueError, match=re.escape(message)):
            jax.jit(tx.update)(x, tx.init(x), x, previous_gradient=previous)
    with pytest.raises(ValueError, match="previous_gradient does not have the structure of the updates: at 'layers/1'"):
        tx.update(x, tx.init(x), x, previous_gradient={"layers": [jnp.ones((2, 3)), {"b": jnp.ones(3)}]})
