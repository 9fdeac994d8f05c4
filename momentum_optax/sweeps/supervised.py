"""A trial from a model, data and an optimizer."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._evaluation import eval_params
from .._two_point import wanted_gradients
from .trial import Hyper, Trial


class Data(NamedTuple):
    """Inputs and targets to train on, and others to test on; arrays with samples along the first axis."""

    train_inputs: np.ndarray
    train_targets: np.ndarray
    test_inputs: np.ndarray
    test_targets: np.ndarray


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross entropy per sample, in nats.

    Args:
      logits: `[..., classes]`.
      labels: integers `[...]`.

    Returns:
      Losses `[...]`.
    """
    # Optax's integer version gathers, and the gradient of that is a scatter: slow on a CPU.
    hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    return -jnp.sum(jnp.where(hot, jax.nn.log_softmax(logits), 0.0), axis=-1)


def accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """1 where the largest logit is the label's, else 0; NaN logits count as wrong."""
    right = jnp.argmax(logits, axis=-1) == labels
    return jnp.where(jnp.isnan(logits).any(axis=-1), 0.0, right)


def supervised(
    model: Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any]],
    data: Data,
    *,
    optimizer: Callable[[Hyper], optax.GradientTransformation],
    loss: Callable[[Any, Any], jax.Array] = cross_entropy,
    metrics: Mapping[str, Callable[[Any, Any], jax.Array]] | None = None,
    batch_size: int = 32,
    eval_params: Callable[[Any, Any], Any] = eval_params,
) -> Trial:
    """A trial that trains a model on batches and tests it on held-out data.

    Every epoch visits every sample once, in an order drawn from the seed; a batch may run over the end of an
    epoch.

    Args:
      model: `rngs -> flax.nnx.Module`, for example a module's class; or two functions, `init(key) -> params`
        and `apply(params, inputs) -> predictions`. Batch statistics and random streams of a module are kept
        per run.
      data: what to train and test on; moved to the devices once, for all runs.
      optimizer: `hyper -> optax optimizer`, for example `lambda hp: optax.sgd(hp["learning_rate"],
        hp["beta"])`.
      loss: `(predictions, targets) -> loss`, per sample or averaged.
      metrics: more functions like `loss`, by name; `None` for `accuracy` if the targets are integers, else
        none.
      batch_size: samples per step.
      eval_params: `(optimizer_state, params) -> params`, the params to test. `momentum_optax.eval_params`
        knows where the methods of this library have theirs, and tests the params themselves for all others.

    Returns:
      The trial; its metrics are `test_loss` and `test_<name>` for each of `metrics`.

    Raises:
      ValueError: the data has NaN or infinite entries, does not fit together, or has fewer samples than a
      batch.
    """
    _check(data)
    count = len(data.train_inputs)
    if not 1 <= batch_size <= count:
        raise ValueError(f"batch_size must be from 1 to {count}, the number of training samples, not {batch_size}.")
    if metrics is None:
        metrics = {"accuracy": accuracy} if np.issubdtype(data.train_targets.dtype, np.integer) else {}
    scores = {"loss": loss, **metrics}
    draw, train, test = _network(model)

    def plan(seed: int, steps: int) -> np.ndarray:
        # NumPy's generator: shuffling in JAX would be one more program to compile.
        rng = np.random.default_rng([seed, 0])
        epochs = -(-steps * batch_size // count)
        order = np.concatenate([rng.permutation(count) for _ in range(epochs)])
        return order[: steps * batch_size].reshape(steps, batch_size).astype(np.int32)

    def fetch(data: Any, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        return data.train_inputs[rows], data.train_targets[rows]

    def init(hyper: Hyper, drawn: Any) -> Any:
        params, rest = drawn
        return params, rest, optimizer(hyper).init(params)

    def step(hyper: Hyper, state: Any, batch: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        params, rest, memory = state
        inputs, targets = batch

        def objective(params):
            predictions, new = train(params, rest, inputs)
            return jnp.mean(loss(predictions, targets)), new

        (value, rest), gradients, second = wanted_gradients(objective, memory, params)
        tx = optax.with_extra_args_support(optimizer(hyper))
        updates, memory = tx.update(gradients, memory, params, value=value, **second)
        return (optax.apply_updates(params, updates), rest, memory), value

    def evaluate(hyper: Hyper, state: Any, data: Any) -> dict[str, jax.Array]:
        del hyper
        params, rest, memory = state
        predictions = test(eval_params(memory, params), rest, data.test_inputs)
        return {f"test_{k}": jnp.mean(score(predictions, data.test_targets)) for k, score in scores.items()}

    sizes = {"batch_size": batch_size, "train_samples": count, "test_samples": len(data.test_inputs)}
    return Trial(draw, plan, fetch, init, step, evaluate, data, sizes)


def _network(model):
    """`draw(key)`, `train(params, rest, inputs)`, which returns `rest` too, and `test(params, rest, inputs)`."""
    if isinstance(model, tuple):
        init, apply = model
        return (
            lambda key: (init(key), ()),
            lambda params, rest, inputs: (apply(params, inputs), rest),
            lambda params, rest, inputs: apply(params, inputs),
        )
    try:
        from flax import nnx
    except ImportError as error:
        raise ImportError('A flax.nnx model needs Flax: pip install ".[sweep]" in a clone') from error

    def build(key):
        module = model(nnx.Rngs(key))
        if not isinstance(module, nnx.Module):
            raise TypeError(f"model(rngs) must return a flax.nnx.Module, not {type(module).__name__}.")
        return module

    def draw(key):
        _, params, rest = nnx.split(build(key), nnx.Param, ...)
        return params, rest

    module = nnx.eval_shape(lambda: build(jax.random.key(0)))
    module.train()
    training, *_ = nnx.split(module, nnx.Param, ...)
    module.eval()
    testing, *_ = nnx.split(module, nnx.Param, ...)

    def train(params, rest, inputs):
        # Copies, for batch statistics may only be written at the trace level that made their variables.
        module = nnx.merge(training, params, rest, copy=True)
        predictions = module(inputs)
        return predictions, nnx.split(module, nnx.Param, ...)[2]

    def test(params, rest, inputs):
        return nnx.merge(testing, params, rest, copy=True)(inputs)

    return draw, train, test


def _check(data: Data) -> None:
    for name, values in zip(data._fields, map(np.asarray, data), strict=True):
        bad = ~np.isfinite(values) if np.issubdtype(values.dtype, np.inexact) else np.zeros(values.shape, bool)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(
                f"data.{name} must be finite, but {int(bad.sum())} of {values.size} entries are NaN or "
                f"infinite; the first is at index {where}."
            )
    for part in ("train", "test"):
        inputs, targets = (len(getattr(data, f"{part}_{kind}")) for kind in ("inputs", "targets"))
        if inputs != targets or inputs == 0:
            raise ValueError(
                f"data.{part}_inputs and data.{part}_targets must have the same number of samples, at "
                f"least 1, not {inputs} and {targets}."
            )
