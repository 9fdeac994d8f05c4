"""A convolution by patches is XLA's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from momentum_optax.problems.convolution import by_patches

CASES = {
    "a line": ((7,), (3,), (1,), "SAME", None),
    "an image": ((8, 8), (3, 3), (1, 1), "SAME", None),
    "strides": ((8, 9), (3, 3), (2, 2), "SAME", None),
    "strides that differ": ((8, 9), (2, 3), (1, 3), "VALID", None),
    "even patches": ((8, 8), (4, 2), (2, 2), "SAME", None),
    "padding that differs": ((5, 6), (3, 3), (2, 1), ((0, 2), (1, 0)), None),
    "dilation": ((9, 9), (3, 2), (2, 1), "SAME", (2, 3)),
    "single pixels": ((4, 4), (1, 1), (1, 1), "SAME", None),
    "a volume": ((4, 5, 6), (2, 2, 3), (1, 2, 2), "SAME", None),
}


def numbers(axes):
    between = "DHW"[-axes:]
    return f"N{between}C", f"{between}IO", f"N{between}C"


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_convolution_and_so_is_its_gradient(name):
    image, patch, strides, padding, dilation = CASES[name]
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((2, *image, 3), np.float32)
    kernel = rng.standard_normal((*patch, 3, 4), np.float32)
    options = {"rhs_dilation": dilation, "dimension_numbers": numbers(len(image))}

    def total(convolution):
        def f(inputs, kernel):
            found = convolution(inputs, kernel, strides, padding, **options)
            return jnp.sin(found).sum(), found

        return jax.value_and_grad(f, (0, 1), has_aux=True)(inputs, kernel)

    (_, found), gradients = total(by_patches)
    (_, expected), expected_gradients = total(jax.lax.conv_general_dilated)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    for gradient, own in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, own, rtol=1e-4, atol=1e-4)


def test_layers_of_flax_take_it():
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 3), np.float32)
    layers = [
        nnx.Conv(3, 4, (3, 3), strides=2, rngs=nnx.Rngs(0), conv_general_dilated=f)
        for f in (by_patches, jax.lax.conv_general_dilated)
    ]
    np.testing.assert_allclose(layers[0](images), layers[1](images), rtol=1e-4, atol=1e-5)
    ours, theirs = nn.Conv(4, (3, 3), conv_general_dilated=by_patches), nn.Conv(4, (3, 3))
    params = ours.init(jax.random.key(0), images)
    np.testing.assert_allclose(ours.apply(params, images), theirs.apply(params, images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lhs_dilation": (2, 1)}, r"no lhs_dilation but \(1, 1\), not \(2, 1\)"),
        ({"feature_group_count": 3}, "no feature_group_count but 1, not 3"),
        ({"dimension_numbers": ("NHCW", "HWIO", "NHWC")}, "no dimension_numbers but"),
    ],
)
def test_what_it_cannot_do_is_an_error(options, words):
    with pytest.raises(ValueError, match=words):
        by_patches(jnp.zeros((2, 3, 3, 3)), jnp.zeros((3, 3, 3, 4)), (1, 1), "SAME", **options)
