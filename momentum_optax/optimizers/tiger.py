"""Tiger: the sign of one average, as large as the params (Su, 2023)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._adaptive import adaptive
from .._finish import add_decayed_weights, join, scale_by_learning_rate
from .._paths import Pattern, check_pattern, matches, paths
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask
from ..directions.sign import sign
from ..filters.ema import ema


class ScaleByParamsState(NamedTuple):
    """State of the part of `tiger` that makes a step as large as the params.

    Attributes:
      count: `()` int32, updates so far.
    """

    count: jax.Array


def _scale_by_params(
    vectors: Coefficient, rows: Pattern | Sequence[Pattern], min_scale: Coefficient
) -> optax.GradientTransformationExtraArgs:
    """`update <- g * size`, which is the root mean square of the leaf, or of each row, or `vectors`."""
    vectors = coefficient.check("vectors", vectors, coefficient.NON_NEGATIVE)
    min_scale = coefficient.check("min_scale", min_scale, coefficient.NON_NEGATIVE)
    patterns: list[Any] = list(rows) if isinstance(rows, list | tuple) else [rows]
    for pattern in patterns:
        check_pattern("rows", pattern)

    def by_rows(params: optax.Params) -> Any:
        found = [any(matches(pattern, path) for pattern in patterns) for path in paths(params)]
        return jax.tree.unflatten(jax.tree.structure(params), found) if any(found) else False

    def leaf(g, p, vector, least, row_by_row):
        if p.ndim < 2:
            return g * vector
        square = sums.product(p, p)
        (total,) = sums.along((-1,), square) if row_by_row else sums.totals(square)
        return g * jnp.maximum(leafwise.root(total * (total.size / max(1, p.size))), least)

    def init(params: optax.Params) -> ScaleByParamsState:
        grouping.fit("vectors", vectors, params)
        grouping.fit("min_scale", min_scale, params)
        return ScaleByParamsState(zero_count())

    def update(updates, state: ScaleByParamsState, params=None, **extra) -> tuple[optax.Updates, ScaleByParamsState]:
        del extra
        if params is None:
            raise ValueError("tiger needs the params: call update(updates, state, params).")
        now, least = coefficient.at(vectors, state.count), coefficient.at(min_scale, state.count)
        updates = leafwise.emit(leaf, updates, (params,), now, least, by_rows(params))
        return updates, ScaleByParamsState(increment(state.count))

    return transformation(init, update)


def _matrices(params: optax.Params) -> Any:
    return jax.tree.map(lambda p: len(jnp.shape(p)) > 1, params)


@adaptive
def scale_by_tiger(
    beta: Coefficient = 0.965,
    *,
    vectors: Coefficient = 0.5,
    rows: Pattern | Sequence[Pattern] = "*embedding*",
    min_scale: Coefficient = 1e-3,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `tiger`: the sign of the average of gradients times the size of the params.

    Args:
      beta: see `tiger`.
      vectors: see `tiger`.
      rows: see `tiger`.
      min_scale: see `tiger`.
      state_dtype: see `heavy_ball`.
    """
    beta = coefficient.check("beta", beta)
    average = ema(beta, debias=False, state_dtype=state_dtype)
    return join(average, sign(), _scale_by_params(vectors, rows, min_scale))


@adaptive
def tiger(
    learning_rate: Coefficient,
    beta: Coefficient = 0.965,
    *,
    vectors: Coefficient = 0.5,
    rows: Pattern | Sequence[Pattern] = "*embedding*",
    min_scale: Coefficient = 1e-3,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Tiger: the sign of one average, in steps that are relative to the size of the params.

    With gradient `g`, starting from `velocity = 0`:

        velocity <- beta * velocity + (1 - beta) * g
        size     <- max(root mean square of params, min_scale), or `vectors` where params have less than two axes
        params   <- params - learning_rate * size * (sign(velocity) + weight_decay * params)

    The root mean square is that of a whole leaf, or of each row of an embedding. The source chooses by the names of
    layers: half a step and no decay for what is called bias, beta or gamma, rows for embeddings. Here vectors and
    scalars are chosen by their shape, and embeddings by their path.

    What else is in the source is here by other means: micro-batches by `wrappers.accumulate_into`, gradients that are
    NaN by `wrappers.guard_finite` (there such a step shrinks the params by 1 %).

    Args:
      learning_rate: see `heavy_ball`; how much of their size the params move by. The source's default is .001.
      beta: how much of the average survives a step, in [0, 1).
      vectors: the size that vectors and scalars are taken to have; finite and at least 0.
      rows: a glob or compiled regular expression for the paths of leaves whose rows (along the last axis) have a size
        each, or a sequence of these. It need not name any.
      min_scale: the least size of a matrix, finite and at least 0; one that starts at 0 would not leave it. The source
        has none.
      weight_decay: see `heavy_ball`; relative to the size, too. The source's default is .01.
      mask: which leaves decay; a tree of bools, or a function of the params giving one. `None` for those with two or
        more axes.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`; `update` needs the params.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or `rows` no pattern.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Su (2023), "Tiger: A Tight-fisted Optimizer". https://github.com/bojone/tiger
    """
    beta = coefficient.check("beta", beta)
    average = ema(beta, debias=False, state_dtype=state_dtype)
    none = weight_decay is None or coefficient.is_zero(weight_decay)
    decay = [] if none else [add_decayed_weights(weight_decay, _matrices if mask is None else mask)]
    size = _scale_by_params(vectors, rows, min_scale)
    return join(average, sign(), *decay, size, scale_by_learning_rate(learning_rate))
