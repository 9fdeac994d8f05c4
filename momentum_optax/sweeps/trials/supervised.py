"""A trial from a model, a loss, data and an optimizer."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ... import _evaluation as evaluation
from ..._finish import apply_updates
from ..._two_point import wanted_gradients
from ..values import whole
from . import folds
from .data import Data, checked
from .losses import Score, accuracy, mean
from .models import Network, Structure, check_model, network
from .narrow import turned_products
from .trial import Hyper, Trial


def supervised(
    model: Any,
    loss: Score,
    data: Data,
    *,
    optimizer: Callable[[Hyper], optax.GradientTransformation],
    metrics: Mapping[str, Score] | None = None,
    batch_size: int | Callable[[Hyper], int] = 32,
    eval_params: Callable[[Any, Any], Any] | None = None,
) -> Trial:
    """A trial that trains a model on batches and tests it on held-out data.

    Every epoch visits every sample once, in an order drawn from the seed. Where `batch_size` does not divide the
    samples, the last batch of an epoch has those that are left; the first ones of the epoch fill it up, and count in no
    loss.

    In a cross-validation the training samples are cut into folds, the same for every seed and point, with equal shares
    of each label where the targets are labels. A run is trained on the samples of all folds but its own: in the batches
    others take the place of these, and count in no loss. It is validated on its own fold, and the test data stay
    unseen.

    Args:
      model: one of four. A function of `rngs` that builds a `flax.nnx.Module`, for example the module's class. A
        `flax.linen.Module`. A function that builds one. Two functions, `init(key) -> params` and
        `apply(params, inputs) -> predictions`. A function that builds may have an argument `hp` too: the structural
        hyperparameters (integers, strings, booleans), such as how many layers there are. Batch statistics and random
        streams of a module are kept per run. It is told whether it is trained or tested by `train()` and `eval()` of
        nnx, and by those arguments of its call that are named `train`, `training`, `is_training`, `deterministic` or
        `use_running_average`.
      loss: `(predictions, targets) -> losses`, one for each sample, `[batch]`, for example `cross_entropy`. A loss that
        averages by itself will do where all samples count: without folds, and if `batch_size` divides the samples.
      data: what to train and test on; copied, so that changes later on are not seen, and moved to the devices once,
        for all runs.
      optimizer: `hyper -> optax optimizer`, for example `lambda hp: optax.sgd(hp["learning_rate"], hp["beta"])`. Its
        update is given what it asks for of `value`, `grad`, `value_fn`, `obj_fn`, `grad_fn` and `previous_gradient`.
      metrics: more functions like `loss`, by name; `None` for `accuracy` if the targets are integers, else none.
      batch_size: samples per step, or a function of the structural hyperparameters: `lambda hp: hp["batch_size"]`.
      eval_params: `(optimizer_state, params) -> params`, the params to test; `None` for those that
        `momentum_optax.eval_params` finds for the methods of this library, and the params themselves for all others.

    Returns:
      The trial. Its metrics are `test_loss` and `test_<name>` for each of `metrics`; in a cross-validation
      `validation_loss` and `validation_<name>` instead.

    Raises:
      TypeError: an argument is of no kind that is known.
      ValueError: the data has NaN or infinite entries, does not fit together, or has fewer samples than a batch.

    Examples:
      A line through noisy points, by least squares:

      >>> import numpy as np, optax
      >>> from momentum_optax.sweeps import Data, grid, supervised, sweep
      >>> rng = np.random.default_rng(0)
      >>> x = rng.normal(size=(50, 3)).astype(np.float32)
      >>> y = x @ np.ones(3, np.float32) + rng.normal(size=50).astype(np.float32) / 100
      >>> trial = supervised(
      ...     (lambda key: np.zeros(3, np.float32), lambda w, x: x @ w),
      ...     lambda predicted, y: (predicted - y) ** 2,
      ...     Data(x[:40], y[:40], x[40:], y[40:]),
      ...     optimizer=lambda hp: optax.sgd(hp["learning_rate"]),
      ...     batch_size=16,
      ... )
      >>> result = sweep(trial, grid(learning_rate=[0.001, 0.1]), seeds=2, steps=60)
      >>> result.best("test_loss").point
      {'learning_rate': 0.1}
    """
    check_model(model)
    if not callable(optimizer):
        raise TypeError(
            "optimizer must be a function of hyperparameters, such as lambda hp: optax.sgd(hp['learning_rate']), "
            f"not {optimizer!r}."
        )
    if not callable(loss):
        raise TypeError(f"loss must be a function of predictions and targets, not {loss!r}.")
    data = checked(data)
    count = len(data.train_inputs)
    if metrics is None:
        metrics = {"accuracy": accuracy} if np.issubdtype(data.train_targets.dtype, np.integer) else {}
    if "loss" in metrics:
        raise ValueError("metrics: none can be called 'loss', for the loss is measured too.")
    if not callable(batch_size):
        _check_batch_size(batch_size, count)
    answer = eval_params or functools.partial(evaluation.eval_params, missing="params")
    order = functools.cache(lambda: folds.order(data.train_targets))

    def net(hyper: Hyper) -> Network:
        return network(model, hyper, data.train_inputs)

    def size(structure: Hyper) -> int:
        return _check_batch_size(batch_size(Structure(structure)), count) if callable(batch_size) else int(batch_size)

    def steps_per_epoch(structure: Hyper) -> int:
        return -(-count // size(structure))

    def draw(structure: Hyper, key: jax.Array) -> tuple[Any, Any]:
        return net(structure).draw(key)

    def plan(structure: Hyper, seed: int, steps: int) -> dict[str, np.ndarray]:
        batch, per_epoch = size(structure), steps_per_epoch(structure)
        # NumPy's generator: shuffling in JAX would be one more program to compile.
        rng = np.random.default_rng([seed, 0])
        # `resize` begins anew where an order ends: the last batch is filled up with the first samples of its epoch.
        orders = [np.resize(rng.permutation(count), (per_epoch, batch)) for _ in range(-(-steps // per_epoch))]
        items = {"rows": np.concatenate(orders)[:steps].astype(np.int32)}
        if count % batch:
            last = np.arange(1, steps + 1) % per_epoch == 0
            items["samples"] = np.where(last, count % batch, batch).astype(np.int32)
        return items

    def fetch(data: Data | folds.Fold, item: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array | None]:
        rows, counts = item["rows"], None
        if "samples" in item:
            counts = jnp.arange(len(rows)) < item["samples"]
        if isinstance(data, folds.Fold):
            rows, trained = data.trained(rows)
            counts = trained if counts is None else counts & trained
            data = data.data
        return jnp.asarray(data.train_inputs)[rows], jnp.asarray(data.train_targets)[rows], counts

    def init(hyper: Hyper, drawn: tuple[Any, Any]) -> Any:
        params, rest = drawn
        return params, rest, _optimizer(optimizer, hyper).init(params)

    def step(hyper: Hyper, state: Any, batch: tuple[jax.Array, jax.Array, jax.Array | None]) -> tuple[Any, jax.Array]:
        params, rest, memory = state
        inputs, targets, counts = batch
        train = net(hyper).train

        def objective(params: Any) -> tuple[jax.Array, Any]:
            predictions, new = train(turned_products(params), rest, inputs)
            return mean("loss", loss, predictions, targets, counts), new

        (value, new), gradients, second = wanted_gradients(objective, memory, params)

        def value_fn(params: Any, obj_fn: Any = None, grad_fn: Any = None) -> jax.Array:
            del obj_fn, grad_fn  # Optax's line searches pass on to it what they do not know, or else refuse that
            return objective(params)[0]

        extra = {
            "value": value,
            "grad": gradients,
            "value_fn": value_fn,
            "obj_fn": lambda params: value_fn(params),  # as `optax.contrib.sophia` calls it
            "grad_fn": lambda params, _: jax.grad(value_fn)(params),  # of `optax.contrib.sam`
            **second,
        }
        tx = _optimizer(optimizer, hyper)
        updates, memory = tx.update(gradients, memory, params, **_known(tx.update, extra))
        return (apply_updates(params, updates), new, memory), value

    def evaluate(hyper: Hyper, state: Any, data: Data | folds.Fold) -> dict[str, jax.Array]:
        params, rest, memory = state
        if isinstance(data, folds.Fold):
            part, counts = "validation", data.counts
            inputs, targets = (jnp.asarray(x)[data.own] for x in (data.data.train_inputs, data.data.train_targets))
        else:
            part, counts, inputs, targets = "test", None, data.test_inputs, data.test_targets
        if inputs is None or targets is None:
            raise ValueError("data has no test_inputs and test_targets: give them, or validate with folds=...")
        predictions = net(hyper).test(answer(memory, params), rest, inputs)
        scores = {"loss": loss, **metrics}
        return {f"{part}_{k}": mean(k, score, predictions, targets, counts) for k, score in scores.items()}

    return Trial(
        init,
        step,
        evaluate,
        draw,
        plan,
        fetch,
        data,
        fold=lambda data, index, count: folds.fold(data, order(), index, count),
        samples=count,
        steps_per_epoch=steps_per_epoch,
        settings={
            "batch_size": "by point" if callable(batch_size) else int(batch_size),
            "train_samples": count,
            "test_samples": 0 if data.test_inputs is None else len(data.test_inputs),
        },
    )


def _optimizer(make: Callable[[Hyper], Any], hyper: Hyper) -> optax.GradientTransformationExtraArgs:
    tx = make(hyper)
    if not (hasattr(tx, "init") and hasattr(tx, "update")):
        raise TypeError(f"optimizer(hp) must return an optax.GradientTransformation, not {tx!r}.")
    return optax.with_extra_args_support(tx)


def _known(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a function takes, by name."""
    takes = inspect.signature(function).parameters
    everything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values())
    return {name: value for name, value in arguments.items() if everything or name in takes}


def _check_batch_size(value: Any, count: int) -> int:
    size = whole("batch_size", value, least=1)
    if size > count:
        raise ValueError(f"batch_size must be from 1 to {count}, the number of training samples, not {size}.")
    return size
