"""A method that has no name: composed from parts, held against the laws, tried on a loss.

Adam divides one average of the gradient by its root mean square. Here three velocities of different length are blended
above the line, as in aggregated momentum, each layer has its own slow beta, and the trend of the gradient is added to
damp the overshoot. There is no new code for dtypes, schedules, masks or missing gradients, because the parts have it.

    python examples/05_compose_your_own.py        # needs the extra `test` for the laws
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import momentum_optax as mo


def damped_aggregate(learning_rate, beta, weight):
    """A quick, a middling and a slow velocity and a weighted trend of the gradient, over the root mean square."""
    velocity = mo.blend(
        (1 / 3, mo.identity()),
        (1 / 3, mo.ema(0.9)),
        (1 / 3, mo.ema(beta)),
        (weight, optax.chain(mo.difference(), mo.ema(0.9, debias=False))),
    )
    return optax.chain(
        mo.divide(velocity, by=mo.root_mean_square(0.999, eps=1e-6)),
        mo.scale_by_learning_rate(learning_rate),
    )


def laws() -> list[str]:
    """The names of the laws that hold; raises if one does not."""
    from momentum_optax import testing

    return testing.check(damped_aggregate, {"learning_rate": 0.1, "beta": 0.99, "weight": 1.0})


def rosenbrock(params: dict[str, jax.Array]) -> jax.Array:
    """The banana valley in eight dimensions, in two halves; its minimum is 0 at all ones."""
    x = jnp.concatenate([params["first"], params["second"]])
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def minimise(tx: optax.GradientTransformation, steps: int) -> np.ndarray:
    """The losses before each step."""

    def step(carry, _):
        params, state = carry
        value, gradient = jax.value_and_grad(rosenbrock)(params)
        updates, state = tx.update(gradient, state, params)
        return (mo.apply_updates(params, updates), state), value

    params = {"first": -jnp.ones(4), "second": jnp.zeros(4)}
    return np.asarray(jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), length=steps)[1])(params))


def main(steps: int = 2000) -> dict[str, np.ndarray]:
    """The losses before each step, by method."""
    rate = optax.cosine_decay_schedule(0.05, steps)
    per_layer = {"first": 0.99, "second": optax.linear_schedule(0.9, 0.99, max(1, steps // 2))}
    losses = {
        "Adam": minimise(optax.adam(rate), steps),
        "composed": minimise(damped_aggregate(rate, per_layer, weight=1.0), steps),
    }
    for name, values in losses.items():
        print(f"{name:9} loss {values[0]:.1f} -> {values[-1]:.2e} after {steps} steps")
    return losses


if __name__ == "__main__":
    # The laws about sharding need two devices or more; on a CPU, JAX makes as many as it is asked for.
    jax.config.update("jax_num_cpu_devices", 8)
    main()
    print(f"{len(laws())} laws hold")
