"""The root of a second moment kept as rows and columns, Adafactor's denominator (Shazeer and Stern, 2018)."""

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._adaptive import adaptive
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient
from ..filters.ema import average


class RootFactoredState(NamedTuple):
    """State of `root_factored`.

    Attributes:
      count: `()` int32, updates so far.
      rows: moving averages of the mean square of each row, `(..., m)` for a param `(..., m, n)`; `NoMemory` for what is
        not factored.
      columns: moving averages of the mean square of each column, `(..., n)`; `NoMemory` for what is not factored.
      second_moment: moving average of squared magnitudes, shaped like the param; `NoMemory` for what is factored.
      weight: `()` for each coefficient: 1 minus the product of all `b2` so far.
    """

    count: jax.Array
    rows: Any
    columns: Any
    second_moment: Any
    weight: Any


@adaptive
def root_factored(
    b2: Coefficient,
    eps: Coefficient = 0.0,
    eps_root: Coefficient = 1e-30,
    *,
    min_dim_size_to_factor: int = 128,
    debias: bool = True,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by how large gradients have been, of matrices known by the rows and columns alone.

    For a leaf `(..., m, n)` with gradient `g`, starting from `rows = columns = 0` and `weight = 0`:

        rows    <- b2 * rows + (1 - b2) * mean of |g|^2 over n
        columns <- b2 * columns + (1 - b2) * mean of |g|^2 over m
        weight  <- b2 * weight + (1 - b2)
        update  <- sqrt(r * c / mean of r) + eps,   r = rows / weight + eps_root,   c = columns / weight + eps_root

    That keeps `m + n` numbers for `m * n`, and is exact where the second moment is a product of one number for each row
    and one for each column. All other leaves are those of `root_mean_square`. Without `debias` the weight is 1;
    Adafactor's own `b2`, `lambda count: 1 - (count + 1.0) ** -0.8`, starts at 0 and needs no debiasing.

    Adafactor factors the last two axes, and so does this, whatever came before them; Optax factors the two largest.

    Args:
      b2: how much of the past survives a step, in [0, 1); where it is a plain 0, no memory is kept.
      eps: added outside the root; finite and at least 0, in units of the gradient.
      eps_root: added to the squares; finite and at least 0, in units of the squared gradient. At 0, a matrix whose
        gradients were all 0 is divided by NaN.
      min_dim_size_to_factor: a leaf is factored if its last two axes are at least this long; at least 1.
      debias: whether to divide by the weight of the gradients seen.
      state_dtype: dtype of the memories; `None` keeps the (real) dtype of each param.

    Returns:
      A transformation that ignores `params`; its updates have the gradient's dtype and no imaginary part.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or `min_dim_size_to_factor` no integer.
      ValueError: a number is out of range, or (at init) a tree does not fit the params.

    References:
      Shazeer and Stern (2018), "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", Algorithm 4.
      https://arxiv.org/abs/1804.04235
    """
    b2 = coefficient.check("b2", b2)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    eps_root = coefficient.check("eps_root", eps_root, coefficient.NON_NEGATIVE)
    if isinstance(min_dim_size_to_factor, bool) or not hasattr(min_dim_size_to_factor, "__index__"):
        raise TypeError(f"min_dim_size_to_factor must be an integer, at least 1; got {min_dim_size_to_factor!r}.")
    least = operator.index(min_dim_size_to_factor)
    if least < 1:
        raise ValueError(f"min_dim_size_to_factor must be at least 1; got {least}.")

    def is_factored(leaf: Any) -> bool:
        shape = np.shape(leaf)
        return len(shape) >= 2 and min(shape[-2:]) >= least

    def memories(params: optax.Params, axis: int | None) -> Any:
        """Means over an axis for what is factored; zeros like the params, with no axis, for what is not."""

        def leaf(p, decay):
            if is_factored(p) != (axis is not None) or coefficient.is_zero(decay):
                return leafwise.NoMemory()
            zeros = leafwise.zeros(p, state_dtype, real=True)
            return zeros if axis is None else jnp.sum(zeros, axis, dtype=zeros.dtype)

        flat, structure = jax.tree.flatten(params)
        return structure.unflatten(map(leaf, flat, grouping.spread(b2, params, lambda _: False)))

    def init(params: optax.Params) -> RootFactoredState:
        leafwise.check_params(params)
        for name, value in (("b2", b2), ("eps", eps), ("eps_root", eps_root)):
            grouping.fit(name, value, params)
        rows, columns, second_moment = (memories(params, axis) for axis in (-1, -2, None))
        return RootFactoredState(zero_count(), rows, columns, second_moment, coefficient.zeros(b2))

    def update(updates, state: RootFactoredState, params=None, **extra) -> tuple[optax.Updates, RootFactoredState]:
        del params, extra

        def square_average(axis):
            def moved(g, s, b):
                square = (g * g.conj()).real
                return average(s, b, square if axis is None or not is_factored(g) else _mean(square, axis))

            return moved

        now = coefficient.at(b2, state.count)
        weight = grouping.advance(average, updates, state.weight, now)
        row, rows = leafwise.remember(square_average(-1), updates, state.rows, now)
        column, columns = leafwise.remember(square_average(-2), updates, state.columns, now)
        whole, second_moment = leafwise.remember(square_average(None), updates, state.second_moment, now)

        def size(g, r, c, s, inverse, e, e_root):
            r, c, s = ((x * inverse if debias else x) + e_root for x in (r, c, s))
            if not is_factored(g):
                return leafwise.root(s) + e
            # Not the root of the quotient, whose derivative overflows where squares are as small as eps_root.
            share = leafwise.root(r) / leafwise.root(jnp.mean(r, -1, keepdims=True))
            return share[..., :, None] * leafwise.root(c)[..., None, :] + e

        updates = leafwise.emit(
            size,
            updates,
            (row, column, whole),
            jax.tree.map(lambda w: 1 / w, weight),
            coefficient.at(eps, state.count),
            coefficient.at(eps_root, state.count),
        )
        return updates, RootFactoredState(increment(state.count), rows, columns, second_moment, weight)

    return transformation(init, update)


def _mean(x: jax.Array, axis: int) -> jax.Array:
    (total,) = sums.along((axis,), x)
    return jnp.squeeze(total, axis) / x.shape[axis]
