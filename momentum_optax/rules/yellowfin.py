"""The learning rate and beta of heavy ball, from the gradients alone (Zhang and Mitliagkas, 2017)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .._arguments import integer
from .._rule import Output, Rule, Seen, dot
from .._types import Scalar
from ._numbers import number


class YellowFinState(NamedTuple):
    """State of `yellowfin`; averages are decaying sums from 0, `()` each, with the weights of `weight`.

    Attributes:
      updates: `()`, updates seen, up to the end of the slow start.
      weight: `()`, sum of the weights of the averages.
      window: `(window,)`, logarithms of the last squared gradient norms, the latest first.
      log_low: average of the smallest in the window.
      log_high: average of the largest in the window.
      square: average of the squared gradient norm.
      norm: average of the gradient norm.
      distance: average of the estimated distance to the minimum.
    """

    updates: jax.Array
    weight: jax.Array
    window: jax.Array
    log_low: jax.Array
    log_high: jax.Array
    square: jax.Array
    norm: jax.Array
    distance: jax.Array


class YellowFin(Rule):
    """One tuner for two coefficients; see `yellowfin`.

    Attributes:
      learning_rate: the coefficient for the learning rate.
      beta: the coefficient for beta.
    """

    keeps = "gradients"

    def __init__(self, learning_rate: Any, decay: Any, window: int, eps: Any):
        self.decay, self.window, self.eps = decay, window, eps
        self.start = {"learning_rate": learning_rate, "beta": 0.0}
        self.learning_rate, self.beta = Output(self, "learning_rate"), Output(self, "beta")

    def __repr__(self) -> str:
        return f"rules.yellowfin(decay={self.decay}, window={self.window})"

    def init(self) -> YellowFinState:
        """Nothing was seen."""
        zero = jnp.zeros(())
        return YellowFinState(zero, zero, jnp.zeros(self.window), zero, zero, zero, zero, zero)

    def _average(self, average: Any, new: Any) -> Any:
        return self.decay * average + (1 - self.decay) * new

    def keep(self, gradient: jax.Array, kept: jax.Array) -> jax.Array:
        """The average of the gradients, in which what is not finite would stay for good."""
        return jnp.where(jnp.isfinite(gradient), self._average(kept, gradient), kept)

    def decide(self, state: YellowFinState, seen: Seen):
        """Both coefficients."""
        square, first, slow = dot(seen.gradients, seen.gradients), state.updates == 0, 10.0 * self.window
        now = jnp.log(square + self.eps)
        window = jnp.where(first, now, jnp.concatenate([now[None], state.window[:-1]]))
        weight = self._average(state.weight, 1)
        new = YellowFinState(
            updates=jnp.minimum(state.updates + 1, slow),
            weight=weight,
            window=window,
            log_low=self._average(state.log_low, jnp.min(window)),
            log_high=self._average(state.log_high, jnp.max(window)),
            square=self._average(state.square, square),
            norm=self._average(state.norm, leafwise.root(square)),
            distance=state.distance,
        )
        new = new._replace(distance=self._average(state.distance, new.norm / (new.square + self.eps)))
        mean = [self.keep(g, kept) for g, kept in zip(seen.gradients, seen.kept or [], strict=True)]
        variance = jnp.maximum(new.square / weight - dot(mean, mean) / weight**2, self.eps)
        beta, learning_rate = single_step(
            variance + self.eps,
            new.distance / weight + self.eps,
            jnp.exp(new.log_low / weight) + self.eps,
            jnp.exp(new.log_high / weight) + self.eps,
        )
        tuned = {"learning_rate": learning_rate * (new.updates / slow), "beta": beta}
        return {name: jnp.where(first, self.start[name], value) for name, value in tuned.items()}, new


def single_step(
    variance: jax.Array, distance: jax.Array, h_min: jax.Array, h_max: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The beta and the learning rate that bring a noisy quadratic nearest to its minimum in one step.

    They minimise `beta * distance^2 + learning_rate^2 * variance` where `learning_rate = (1 - sqrt(beta))^2 / h_min`
    and every curvature from `h_min` to `h_max` contracts by `sqrt(beta)`. With `gap = 1 - sqrt(beta)`, the minimum is
    where `gap^3 = p * (1 - gap)`, unless the curvatures ask for a larger beta.
    """
    root_p = jnp.clip(distance * h_min / leafwise.root(2 * variance), 1e-9, 1e9)
    p, scale = root_p**2, root_p / 3**0.5
    gap = 2 * scale * jnp.sinh(jnp.arcsinh(1.5 / scale) / 3)
    gap = (2 * gap**3 + p) / (3 * gap**2 + p)  # one step of Newton, for what the functions round
    widest = 2 / (1 + jnp.exp((jnp.log(h_max) - jnp.log(h_min)) / 2))
    gap = jnp.clip(gap, 1e-6, widest)
    return (1 - gap) ** 2, gap**2 / h_min


def yellowfin(
    learning_rate: Scalar = 1e-4, *, decay: Scalar = 0.999, window: int = 20, eps: Scalar = 1e-6
) -> YellowFin:
    """A tuner that finds the learning rate and beta of heavy ball, so that neither has to be known.

    `tuner = mo.rules.yellowfin()`, then `mo.heavy_ball(tuner.learning_rate, tuner.beta)`. Averages `E` decay by `decay`
    and are divided by the sum of their weights. With gradient `g`:

        h_min, h_max  <- exp E[log of the smallest, largest |g|^2 among the last `window`]
        variance      <- E[|g|^2] - |E[g]|^2
        distance      <- E[E[|g|] / E[|g|^2]]
        x             <- root of distance^2 * h_min^2 / (2 * variance) * x = (1 - x)^3
        beta          <- max(x, (sqrt(h_max / h_min) - 1) / (sqrt(h_max / h_min) + 1))^2
        learning_rate <- (1 - sqrt(beta))^2 / h_min * min(1, updates / (10 * window))

    The squared gradient norm stands for curvature, as it does on average for a negative log-likelihood. On other losses
    it does not: multiply the loss by `c`, and the learning rate is divided by about `c^2` instead of `c`.

    It does what the authors' PyTorch code does: logarithms are averaged, learning rate and beta are taken as they are
    found (Caffe2's operator averages them), the learning rate rises slowly, the first update has beta 0, and `eps`
    stands where theirs does. Different are the cubic, solved to full precision, and `sqrt(beta)`, at most `1 - 1e-6`.
    And gradients are not clipped, because a rule only decides on coefficients: theirs are, to the norm `sqrt(h_max)` of
    the last update. `optax.clip_by_global_norm` and `mo.wrappers.clip_by_velocity` clip.

    It keeps one array for each leaf, the average of its gradients in at least float32, and `window + 7` numbers;
    it costs two passes, for the average and for two inner products.

    Args:
      learning_rate: for the first update, finite and at least 0.
      decay: how much of the averages survives an update, in [0, 1).
      window: over how many updates the largest and the smallest are taken, at least 1.
      eps: what keeps quotients and logarithms finite, finite and above 0. It is compared with `|g|^2`: where that falls
        below, as in the end on a loss without noise, `eps` takes its place.

    Returns:
      A rule, whose `learning_rate` and `beta` are for the places of coefficients. The tuner itself stands for beta.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tuner = mo.rules.yellowfin()
      >>> tx = mo.heavy_ball(tuner.learning_rate, tuner.beta)
      >>> state = tx.init(jnp.zeros(()))
      >>> for gradient in (1.0, 0.5, 0.1):
      ...     update, state = tx.update(jnp.asarray(gradient), state)
      ...     print(f'{state.values["learning_rate"]:.4f}, {state.values["beta"]:.3f}')
      0.0001, 0.000
      0.0126, 0.043
      0.0162, 0.381

    References:
      Zhang and Mitliagkas (2017), "YellowFin and the Art of Momentum Tuning". https://arxiv.org/abs/1706.03471
      The authors' code: https://github.com/JianGoForIt/YellowFin_Pytorch
    """
    learning_rate = number("learning_rate", learning_rate, coefficient.NON_NEGATIVE)
    window = integer("window", window, at_least=1)
    return YellowFin(learning_rate, number("decay", decay), window, number("eps", eps, coefficient.POSITIVE))
