"""Muon: momentum whose matrices are orthogonalized (Jordan et al., 2024)."""

from collections.abc import Sequence

import jax
import optax

from .._adaptive import adaptive
from .._finish import finish
from .._paths import Pattern
from .._types import Coefficient, Mask, Scalar
from ..directions._matrices import Layout
from ..directions._newton_schulz import Coefficients
from ..directions.divide import divide
from ..directions.orthogonal_factor import Strategy, orthogonal_factor
from ..directions.root_mean_square import root_mean_square
from ..filters.ema import ema
from ..wrappers.for_matrices import Matrices, for_matrices


@adaptive
def scale_by_muon(
    ns_coeffs: Coefficients = "quintic",
    ns_steps: int = 5,
    beta: Coefficient = 0.95,
    eps: Coefficient = 1e-8,
    mu_dtype: jax.typing.DTypeLike | None = None,
    *,
    nesterov: bool = True,
    shape_factor: str | Scalar | None = "original",
    layout: Layout = "io",
    ns_dtype: jax.typing.DTypeLike | None = None,
    strategy: Strategy = "auto",
    stack_axis: str | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `muon` for the matrices; every leaf must be one.

    Args:
      ns_coeffs: see `muon`.
      ns_steps: see `muon`.
      beta: see `muon`.
      eps: see `muon`.
      mu_dtype: see `muon`.
      nesterov: see `muon`.
      shape_factor: see `muon`.
      layout: see `muon`.
      ns_dtype: see `muon`.
      strategy: see `muon`.
      stack_axis: see `muon`.
      state_dtype: see `muon`.
    """
    factor = orthogonal_factor(
        ns_coeffs,
        ns_steps,
        eps,
        shape_factor=shape_factor,
        layout=layout,
        ns_dtype=ns_dtype,
        strategy=strategy,
        stack_axis=stack_axis,
    )
    kept_in = state_dtype if mu_dtype is None else mu_dtype
    return optax.chain(ema(beta, debias=False, nesterov=nesterov, state_dtype=kept_in), factor)


@adaptive
def muon(
    learning_rate: Coefficient,
    ns_coeffs: Coefficients = "quintic",
    ns_steps: int = 5,
    beta: Coefficient = 0.95,
    eps: Coefficient = 1e-8,
    weight_decay: Coefficient = 0.0,
    weight_decay_mask: Mask | None = None,
    mu_dtype: jax.typing.DTypeLike | None = None,
    *,
    nesterov: bool = True,
    adam_b1: Coefficient = 0.9,
    adam_b2: Coefficient = 0.999,
    adam_eps_root: Coefficient = 0.0,
    adam_weight_decay: Coefficient = 0.0,
    adam_learning_rate: Coefficient = None,
    rest: optax.GradientTransformation | None = None,
    matrices: Matrices = None,
    exclude: Sequence[Pattern] | None = None,
    shape_factor: str | Scalar | None = "original",
    layout: Layout = "io",
    ns_dtype: jax.typing.DTypeLike | None = None,
    strategy: Strategy = "auto",
    stack_axis: str | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Muon for the matrices, and AdamW for the rest.

    For every matrix, with gradient `g`, starting from `velocity = 0`, and `next_beta = beta(count + 1)`:

        velocity <- beta * velocity + (1 - beta) * g
        g        <- next_beta * velocity + (1 - beta) * g                       (nesterov)
        g        <- velocity                                                    (plain)
        params   <- params - learning_rate * (shape_factor * orthogonalize(g) + weight_decay * params)

    `wrappers.for_matrices` says which leaves are matrices; embeddings, heads, biases and scales are not, by name. The
    others get

        params   <- params - adam_learning_rate * (adam + adam_weight_decay * params)

    with Adam's direction, or whatever `rest` is. The average is not debiased, as in the original and in torch: its size
    does not matter to an orthogonal factor. Optax debiases both terms of Nesterov's sum, each by another count, so that
    early steps are another mixture, and looks ahead in AdamW as well; without `nesterov` the steps are the same.

    Args:
      learning_rate: step size, a number or schedule at least 0, or a tree of these.
      ns_coeffs: `coefficients` of `orthogonalize`: `"quintic"`, `"polar_express"`, or numbers, in arrays or not.
      ns_steps: how many polynomials are applied, at least 1.
      beta: how much of the velocity survives a step, in [0, 1); a number, schedule or tree.
      eps: added to the norm of a matrix, and to Adam's root; finite and at least 0.
      weight_decay: decoupled decay of the matrices, multiplied by the learning rate.
      weight_decay_mask: which leaves decay; a tree of bools, or a function of the params giving one.
      mu_dtype: dtype of the velocity, and of Adam's; `None` keeps that of each param.
      nesterov: whether the newest gradient counts once more.
      adam_b1: how much of Adam's velocity survives a step, in [0, 1).
      adam_b2: how much of Adam's second moment survives a step, in [0, 1).
      adam_eps_root: added inside Adam's root; finite and at least 0.
      adam_weight_decay: decoupled decay of the rest, multiplied by its learning rate.
      adam_learning_rate: step size of the rest; `None` for that of the matrices.
      rest: a whole optimizer for the rest, in the place of AdamW.
      matrices: which leaves are matrices: globs, a tree of bools, or a function giving one; `None` for the rule by
        shape and name of `wrappers.for_matrices`.
      exclude: which paths that rule leaves to the rest; `None` for embeddings and heads, `()` for none.
      shape_factor: `"torch"` or `"original"`, `"match_rms_adamw"`, `"optax"`, `"keras"`, `"spectral"`, a number, or
        `None`, as in `orthogonal_factor`.
      layout: `"io"` where weights are used as `x @ w` (Flax, its attention included), `"oi"` where as `w @ x` (torch,
        equinox), or what the axes of each leaf are, as in `orthogonal_factor`.
      ns_dtype: in which products are computed, float32, float64 or bfloat16; `None` for that of the leaf, at least
        float32.
      strategy: `"leaf"`, `"stacked"` or `"auto"`, as in `orthogonal_factor`.
      stack_axis: name of an axis of the mesh to distribute stacks over, as in `orthogonal_factor`.
      state_dtype: dtype of all memories but those that `mu_dtype` is for; `None` keeps that of each param.

    Returns:
      An optimizer, ready for `init` and `update`; with weight decay, `update` needs the params.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: an argument is out of range; at `init`, no leaf is a matrix, one that is named has less than two axes,
        or a tree does not fit the params.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.muon(0.1, "polar_express", 8, rest=mo.heavy_ball(0.1))
      >>> params = {"kernel": jnp.asarray([[3.0, 4.0], [-4.0, 3.0]]), "bias": jnp.ones(2)}
      >>> updates, state = tx.update(params, tx.init(params), params)
      >>> print(updates["kernel"].round(2), updates["bias"])
      [[-0.06 -0.08]
       [ 0.08 -0.06]] [-0.1 -0.1]

    References:
      Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks".
      https://kellerjordan.github.io/posts/muon/
      Liu et al. (2025), "Muon is Scalable for LLM Training" (match_rms_adamw). https://arxiv.org/abs/2502.16982
    """
    direction = scale_by_muon(
        ns_coeffs,
        ns_steps,
        beta,
        eps,
        mu_dtype,
        nesterov=nesterov,
        shape_factor=shape_factor,
        layout=layout,
        ns_dtype=ns_dtype,
        strategy=strategy,
        stack_axis=stack_axis,
        state_dtype=state_dtype,
    )
    if rest is None:
        first = state_dtype if mu_dtype is None else mu_dtype
        by = root_mean_square(adam_b2, eps, adam_eps_root, state_dtype=state_dtype)
        rate = learning_rate if adam_learning_rate is None else adam_learning_rate
        rest = finish(divide(ema(adam_b1, state_dtype=first), by=by), rate, adam_weight_decay, weight_decay_mask)
    chosen = finish(direction, learning_rate, weight_decay, weight_decay_mask)
    return for_matrices(chosen, rest, matrices, exclude=exclude)
