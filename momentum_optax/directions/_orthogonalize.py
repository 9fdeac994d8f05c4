"""The orthogonal factor of a matrix, nearly (Jordan, 2024; Amsel et al., 2025)."""

from typing import Any

import jax
import jax.numpy as jnp

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .._types import Scalar
from . import _newton_schulz as newton_schulz

COMPUTING = ("float32", "bfloat16", "float64")


def orthogonalize(
    x: jax.Array,
    steps: int = 5,
    coefficients: newton_schulz.Coefficients = "quintic",
    *,
    eps: Scalar = 1e-8,
    dtype: jax.typing.DTypeLike | None = None,
    gram: bool | None = None,
) -> jax.Array:
    """Replaces the singular values of a matrix by values near 1: `U S V^H -> U V^H`, with matrix products alone.

    With `x <- x / (|x|_F + eps)`, for each triple `(a, b, c)` of `steps`:

        x <- a * x + b * (x x^H) x + c * (x x^H)^2 x

    which is the odd polynomial `a s + b s^3 + c s^5` of each singular value `s`. For a tall matrix it is computed from
    the other side, with the smaller `x^H x`; the result is the same.

    `"quintic"`, of Jordan, is one polynomial for all steps. It raises small values fast and does not converge: after 5
    steps, values that were above 0.003 of the norm lie between 0.68 and 1.21. `"polar_express"`, of Amsel et al., has
    another polynomial for each step, converges, and is the more exact from 5 steps on.

    Matrices more than about 1.5 times as long as wide are done in the Gram form: all steps run on the small matrix
    `R = x x^H`, and `x` is multiplied once, by what they amount to:

        p <- a I + b R + c R^2,  Q <- Q p,  R <- p R p,  and at the end  x <- Q x

    For sides of 1:4, 5 steps take 0.56 of the multiplications. `R` knows singular values only down to the root of the
    rounding error: in float32 the result differs from the plain form by 1e-6 for gradients, and by up to 1e-3 where
    singular values spread over many decades. Before rounding errors have grown to 5 %, which in float32 takes more than
    5 steps with either set of coefficients, `R` is made anew from `Q x`. In bfloat16, which has no digits to lose, the
    plain form is always taken.

    Args:
      x: `[..., m, n]`, a matrix or a stack of them; real or complex.
      steps: how many polynomials are applied, at least 1.
      coefficients: `"quintic"`, `"polar_express"`, a triple `(a, b, c)` for all steps, or one triple after the other,
        of which the last is repeated. An array, `[3]` or `[n, 3]`, must not be traced.
      eps: added to the norm, in units of `x`; smaller matrices stay small. Finite and at least 0.
      dtype: in which the products are computed: float32, float64 (needs x64) or bfloat16, which is much the faster on
        accelerators; `None` for that of `x`, at least float32. Complex matrices are never computed in less than
        complex64. In float32 products are exact to float32 on every device.
      gram: whether to use the Gram form; `None` where it is safe and takes fewer multiplications.

    Returns:
      An array of the shape and dtype of `x`, sharded as `x` is. Zeros stay zeros.

    Raises:
      TypeError: `x` is neither floating nor complex, or an argument of the wrong type.
      ValueError: `x` has less than two axes, or an argument is out of range.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> print(mo.orthogonalize(jnp.diag(jnp.asarray([3.0, -0.5])), steps=12, coefficients="polar_express").round(3))
      [[ 1.  0.]
       [ 0. -1.]]

    References:
      Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks".
      https://kellerjordan.github.io/posts/muon/
      Amsel, Persson, Musco and Gower (2025), "The Polar Express: Optimal Matrix Sign Methods and Their Application to
      the Muon Algorithm", Algorithm 1 and appendix F (the Gram form). https://arxiv.org/abs/2505.16932
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(f"orthogonalize needs a floating or complex array; got dtype {x.dtype}.")
    if x.ndim < 2:
        raise ValueError(f"orthogonalize needs a matrix, [..., m, n]; got an array of shape {x.shape}.")
    eps = coefficient.number("eps", eps, coefficient.NON_NEGATIVE)
    return factor(x, newton_schulz.iteration(coefficients, steps), eps, dtype, gram)


def factor(x: jax.Array, iteration: newton_schulz.Iteration, eps: Any, dtype: Any, gram: bool | None) -> jax.Array:
    """The same of arguments that are known to be right; `eps` may be one for each matrix, `[..., 1, 1]`."""
    computing = _computing_dtype(x.dtype, dtype)
    rounding = float(jnp.finfo(computing).eps)
    narrow = jnp.finfo(computing).bits < 32
    if gram and narrow:
        raise ValueError(f"gram=True needs a dtype of at least float32: {computing} has too few digits.")
    if not x.size:
        return x
    if gram is None:
        short, long = sorted(x.shape[-2:])
        gram = not narrow and newton_schulz.gram_pays(short, long, iteration.steps, rounding)

    home = jax.typeof(x).sharding
    explicit = not home.mesh.empty and home.mesh.are_all_axes_explicit
    if explicit:
        x = jax.sharding.reshard(x, newton_schulz.unsharded_short_side(x, home))
    out = leafwise.narrow(newton_schulz.run(x.astype(computing), eps, iteration, gram), x.dtype)
    return jax.sharding.reshard(out, home.spec) if explicit else out


def check_dtype(name: str, dtype: jax.typing.DTypeLike | None) -> None:
    """Raises a TypeError unless products can be computed in the dtype."""
    try:
        known = dtype is None or jnp.dtype(dtype).name in COMPUTING
    except TypeError:
        known = False
    if not known:
        raise TypeError(f"{name} must be one of {', '.join(COMPUTING)}, or None for that of the matrix; got {dtype!r}.")


def _computing_dtype(of: Any, dtype: jax.typing.DTypeLike | None) -> Any:
    check_dtype("dtype", dtype)
    wide = jnp.dtype(leafwise.wide_dtype(of))
    if dtype is None:
        return wide
    if jnp.issubdtype(of, jnp.complexfloating):
        return jnp.promote_types(jnp.complex64, dtype) if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.complex64)
    return jnp.dtype(dtype)
