"""Betas that are learnt: layer by layer while the model trains, and by gradient descent through whole runs.

    python examples/12_hypergradients.py

First a small network reads digits with a beta for each leaf, which follows the slope of the loss, one step back.
Then whole runs on a quadratic are differentiated by their learning rate and by the beta of each part, and both are
improved by gradient descent: the full hypergradient, which sees what a beta does in the long run.
"""

import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_digits

import momentum_optax as mo


def digits(size: int = 1000) -> tuple[jax.Array, jax.Array]:
    images, labels = load_digits(return_X_y=True)
    return jnp.asarray(images[:size] / 16, jnp.float32), jnp.asarray(labels[:size])


def network(key: jax.Array, width: int = 32):
    first, second = jax.random.split(key)
    return {
        "hidden": {"kernel": jax.random.normal(first, (64, width)) / 8, "bias": jnp.zeros(width)},
        "logits": {"kernel": jax.random.normal(second, (width, 10)) / width**0.5, "bias": jnp.zeros(10)},
    }


def cross_entropy(params, batch) -> jax.Array:
    images, labels = batch
    hidden = jax.nn.relu(images @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    logits = hidden @ params["logits"]["kernel"] + params["logits"]["bias"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def layer_by_layer(steps: int = 300, rate: float = 1.0) -> tuple[list[float], dict[str, float]]:
    """The losses, and the beta that each leaf ends with; all begin at 0.5."""
    data, params = digits(), network(jax.random.key(0))
    tx = mo.heavy_ball(0.05, mo.rules.hypergradient(rate, start=0.5, high=0.95, each_leaf=True))

    @jax.jit
    def step(params, state, key):
        batch = jax.tree.map(lambda x: x[jax.random.randint(key, (128,), 0, len(data[1]))], data)
        loss, gradient = jax.value_and_grad(cross_entropy)(params, batch)
        updates, state = tx.update(gradient, state, params)
        return mo.apply_updates(params, updates), state, loss

    state, losses = tx.init(params), []
    for number, key in enumerate(jax.random.split(jax.random.key(1), steps)):
        params, state, loss = step(params, state, key)
        losses.append(float(loss))
        if number in (0, steps // 4, steps - 1):
            print(f"update {number + 1:4}  loss {loss:.3f}  ", end="")
            print("  ".join(f"{name} {value:.3f}" for name, value in state.values.items()))
    return losses, {name: float(value) for name, value in state.values.items()}


CURVATURES = {"steep": jnp.array([10.0, 5.0]), "flat": jnp.array([0.3, 0.1])}


def final_loss(numbers, updates: int = 50) -> jax.Array:
    """What a run from 1 ends with on a quadratic; `numbers` are logits of betas and the log of the learning rate."""
    betas = {name: jax.nn.sigmoid(numbers[name]) for name in CURVATURES}
    tx = mo.heavy_ball(jnp.exp(numbers["log_learning_rate"]), betas)

    def body(carry, _):
        x, state = carry
        step, state = tx.update(jax.tree.map(jnp.multiply, CURVATURES, x), state, x)
        return (mo.apply_updates(x, step), state), None

    x = jax.tree.map(jnp.ones_like, CURVATURES)
    (x, _), _ = jax.lax.scan(body, (x, tx.init(x)), length=updates)
    return sum(jnp.sum(h * y**2) / 2 for h, y in zip(CURVATURES.values(), x.values(), strict=True))


def through_whole_runs(steps: int = 100) -> list[float]:
    """The logarithms of the final losses, one for each run; the slope is that of the logarithm."""
    numbers = {"log_learning_rate": jnp.log(0.02), "steep": jnp.zeros(()), "flat": jnp.zeros(())}
    outer = optax.adam(0.05)  # slopes of very different sizes

    @jax.jit
    def improve(numbers, state):
        outcome, slopes = jax.value_and_grad(lambda n: jnp.log(final_loss(n)))(numbers)
        updates, state = outer.update(slopes, state)
        return mo.apply_updates(numbers, updates), state, outcome

    state, outcomes = outer.init(numbers), []
    for number in range(steps):
        betas = {name: float(jax.nn.sigmoid(numbers[name])) for name in CURVATURES}
        rate = float(jnp.exp(numbers["log_learning_rate"]))
        numbers, state, outcome = improve(numbers, state)
        outcomes.append(float(outcome))
        if number in (0, steps // 4, steps - 1):
            print(f"run {number + 1:4}  final loss {jnp.exp(outcome):.2e}  learning rate {rate:.4f}", end="  ")
            print("  ".join(f"beta {name} {value:.3f}" for name, value in betas.items()))
    return outcomes


def main(steps: int = 300, runs: int = 100) -> tuple[list[float], dict[str, float], list[float]]:
    print("One step back, layer by layer:")
    losses, betas = layer_by_layer(steps)
    print("Through whole runs:")
    return losses, betas, through_whole_runs(runs)


if __name__ == "__main__":
    main()
