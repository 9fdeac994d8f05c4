"""What is measured of a step, from inner products of gradient, velocity and update, and averaged over the steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Below this, what a gradient and a velocity differ by is rounding, and nothing can be learned from it.
_PARALLEL = 1e-4


class Measures(NamedTuple):
    """What is known of one group of leaves, in the order in which a state holds it.

    Averages are sums whose weights fade by `decay`.

    Attributes:
      gradient_norm: of the last step, as the other norms.
      velocity_norm: after the step.
      update_norm: of what was emitted.
      param_norm: before the step; 0 without params.
      sign: 1 where velocities sum up gradients, -1 where they sum up steps.
      weight: of all steps in the averages.
      met: weight of the steps that began with a velocity.
      cosine: average of the cosine of the gradient and the velocity it meets, over `met`.
      turn: average of the angle between velocities before and after, in half turns, over `met`.
      descent: average of `-<update, gradient>`.
      power: average of `|gradient|^2`.
      fresh: average of the share of the velocity, in square, that the gradient does not explain.
      forgotten: average of the same, times the part of it that the step forgot.
      update_power: average of `|update|^2`.
      param_power: average of `|params|^2`.
      level: average of the logarithm of the gradient's norm, over `weight`.
      smooth_level: average of that average, over `weight`.
      trend: how much the logarithm grows at each step.
    """

    gradient_norm: jax.Array
    velocity_norm: jax.Array
    update_norm: jax.Array
    param_norm: jax.Array
    sign: jax.Array
    weight: jax.Array
    met: jax.Array
    cosine: jax.Array
    turn: jax.Array
    descent: jax.Array
    power: jax.Array
    fresh: jax.Array
    forgotten: jax.Array
    update_power: jax.Array
    param_power: jax.Array
    level: jax.Array
    smooth_level: jax.Array
    trend: jax.Array


def start() -> jax.Array:
    """Measures before the first step, `(fields,)`: one array, for each in a state costs time at every call."""
    return jnp.zeros(len(Measures._fields), jnp.result_type(float)).at[Measures._fields.index("sign")].set(1)


def unpack(measures: jax.Array) -> Measures:
    """The fields; of an array `(..., fields)` each has the shape `(...)`."""
    return Measures(*jnp.moveaxis(measures, -1, 0))


class Products(NamedTuple):
    """The inner products of a step: `g` gradient, `w` and `v` velocity before and after, `u` update, `p` params."""

    wg: Any
    ww: Any
    gg: Any
    vg: Any
    vv: Any
    ug: Any
    uu: Any
    pp: Any


def advance(measures: jax.Array, products: Products, decay: Any) -> jax.Array:
    """The measures after a step."""
    old = unpack(measures)
    wg, ww, gg, vg, vv, ug, uu, pp = (jnp.asarray(x, measures.dtype) for x in products)
    d = jnp.asarray(decay, measures.dtype)
    finite = jnp.isfinite(gg) & jnp.isfinite(vv) & jnp.isfinite(ww) & jnp.isfinite(uu) & jnp.isfinite(pp)
    seen = finite & (gg > 0)
    met = seen & (ww > 0)

    # Number by number, each root and each quotient would be a kernel of its own. So every lane computes every field and
    # keeps one: a single loop. A compiler undoes this unless lanes differ; that of the weight needs no products.
    lane = jax.lax.iota(jnp.int32, len(Measures._fields))
    weighs = lane == Measures._fields.index("weight")
    wg, ww, gg, vg, vv, ug, uu, pp = (jnp.where(weighs, 1, x) for x in (wg, ww, gg, vg, vv, ug, uu, pp))
    g, w, v, u, p = map(jnp.sqrt, (gg, ww, vv, uu, pp))

    # In the plane of gradient and velocity: v = beta * w + c * g, so that across the gradient v = beta * w.
    before = _cosine(wg, w, g)
    after = _cosine(vg, v, g)
    across_before, across_after = jnp.sqrt(1 - before**2), jnp.sqrt(1 - after**2)
    known = met & (across_before**2 > _PARALLEL)
    fresh = across_before**2
    remembered = _divide(v, w) * across_after * across_before  # beta * fresh
    beta = _divide(remembered, fresh)
    entered = v * after - jnp.where(known, beta, 0) * w * before  # c * |g|
    told = seen & (known | (ww == 0)) & (jnp.abs(entered) > 0.01 * v)
    sign = jnp.where(told, jnp.sign(entered), old.sign)
    turn = jnp.abs(jnp.arctan2(across_after, after) - jnp.arctan2(across_before, before)) / np.pi
    turn = jnp.where(vv > 0, turn, 0)

    def average(of, new, when):
        # What is not finite must not reach the average, also not as 0 * inf.
        return jnp.where(seen, d * of + (1 - d) * jnp.where(when, new, 0), of)

    weight = average(old.weight, 1, seen)
    level = average(old.level, jnp.log(jnp.where(seen, g, 1)), seen)
    smooth_level = average(old.smooth_level, _divide(level, weight), seen)
    trend = _divide(1 - d, d) * _divide(level - smooth_level, weight)
    new = Measures(
        gradient_norm=g,
        velocity_norm=v,
        update_norm=u,
        param_norm=p,
        sign=sign,
        weight=weight,
        met=average(old.met, 1, met),
        cosine=average(old.cosine, sign * before, met),
        turn=average(old.turn, turn, met),
        descent=average(old.descent, -ug, seen),
        power=average(old.power, gg, seen),
        fresh=average(old.fresh, fresh, known),
        forgotten=average(old.forgotten, fresh - remembered, known),
        update_power=jnp.where(finite, d * old.update_power + (1 - d) * uu, old.update_power),
        param_power=jnp.where(finite, d * old.param_power + (1 - d) * pp, old.param_power),
        level=level,
        smooth_level=smooth_level,
        trend=jnp.where(seen, trend, old.trend),
    )
    kept = measures
    for i, field in enumerate(new):
        kept = jnp.where(lane == i, field, kept)
    return kept


def report(measures: jax.Array) -> dict[str, jax.Array]:
    """The measures as they are read, by name."""
    m = unpack(measures)
    horizon = jnp.where(m.forgotten > 0, m.fresh / jnp.where(m.forgotten > 0, m.forgotten, 1), jnp.inf)
    ratio = jnp.sqrt(m.update_power) / jnp.sqrt(jnp.where(m.param_power > 0, m.param_power, 1))
    moves = jnp.where(m.update_power > 0, jnp.inf, 0)
    return {
        "gradient_norm": m.gradient_norm,
        "velocity_norm": m.velocity_norm,
        "update_norm": m.update_norm,
        "param_norm": m.param_norm,
        "update_ratio": jnp.where(m.param_power > 0, ratio, moves),
        "cosine": _divide(m.cosine, m.met),
        "effective_learning_rate": _divide(m.descent, m.power),
        "effective_horizon": jnp.where(m.fresh > 0, horizon, jnp.where(m.met > 0, jnp.nan, 1)),
        "sign_flips": _divide(m.turn, m.met),
        "gradient_growth": jnp.exp(m.trend),
    }


def _divide(a: jax.Array, b: jax.Array) -> jax.Array:
    """`a / b`, and 0 where b is 0."""
    return jnp.where(b == 0, 0, a / jnp.where(b == 0, 1, b))


def _cosine(product: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """Of two vectors with these norms; 0 where one of them is 0."""
    return jnp.clip(_divide(_divide(product, a), b), -1, 1)
