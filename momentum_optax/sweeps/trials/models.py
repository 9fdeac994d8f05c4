"""Models of every kind as three pure functions."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .trial import Hyper

_ON, _OFF = ("train", "training", "is_training"), ("deterministic", "use_running_average")
"""Arguments of a model by which it is told that it is trained, and that it is not."""


class Structure(Mapping[str, Any]):
    """The structural hyperparameters among all, which say so when asked for another."""

    def __init__(self, hyper: Hyper):
        """Takes all hyperparameters that are known."""
        self._hyper = hyper

    def __getitem__(self, name: str) -> Any:
        advice = "Write a rate as a whole number, such as dropout_percent=[10, 30]."
        try:
            value = self._hyper[name]
        except KeyError:
            raise KeyError(
                f"There is no structural hyperparameter {name!r}. What a model is made of and how large a batch is can "
                f"depend on integers, strings and booleans only, {list(self)} here. {advice}"
            ) from None
        # A bool is an int.
        if isinstance(value, int | str):
            return value
        raise TypeError(
            f"{name} is a float, which varies inside one program, but a model or a batch can depend on structural "
            f"hyperparameters only: integers, strings and booleans. {advice}"
        )

    def __iter__(self) -> Iterator[str]:
        return (name for name, value in self._hyper.items() if isinstance(value, int | str))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Network(NamedTuple):
    """A model in pure functions.

    Attributes:
      draw: `key -> (params, rest)`: what it starts with; `rest` are batch statistics, random streams and the like.
      train: `(params, rest, inputs) -> (predictions, rest)`.
      test: `(params, rest, inputs) -> predictions`, with dropout off and batch statistics fixed.
    """

    draw: Callable[[jax.Array], tuple[Any, Any]]
    train: Callable[[Any, Any, Any], tuple[Any, Any]]
    test: Callable[[Any, Any, Any], Any]


def check_model(model: Any) -> None:
    """Raises what `network` raises of a model that is of no kind that is known, as far as nothing must be built."""
    if isinstance(model, tuple):
        _functions(model)
    elif not isinstance(model, _flax().linen.Module):
        _wanted(model)


def network(model: Any, hyper: Hyper, inputs: np.ndarray) -> Network:
    """The functions of a model.

    Args:
      model: see `supervised`.
      hyper: the hyperparameters, whose structural ones a builder may ask for.
      inputs: some samples, whose shape and dtype a linen module is initialized with.

    Returns:
      The functions.

    Raises:
      TypeError: the model is of no kind that is known, or its builder gives something else.
      ImportError: it needs Flax, which is not there.
    """
    if isinstance(model, tuple):
        return _functions(model)
    linen, nnx = _flax().linen, _flax().nnx
    if isinstance(model, linen.Module):
        return _linen(model, inputs)
    wanted = _wanted(model)
    given = {"hp": Structure(hyper)} if "hp" in wanted else {}
    if "rngs" in wanted:
        return _nnx(lambda key: model(rngs=nnx.Rngs(key), **given))
    built = model(**given)
    if isinstance(built, linen.Module):
        return _linen(built, inputs)
    if isinstance(built, tuple):
        return _functions(built)
    raise TypeError(
        f"model({', '.join(wanted)}) must return a flax.linen.Module or the functions (init, apply), not "
        f"{type(built).__name__}; a flax.nnx.Module is built by a function of rngs."
    )


def _flax() -> Any:
    try:
        import flax.linen
        import flax.nnx
    except ImportError as error:
        raise ImportError('A Flax model needs Flax: pip install ".[sweep]" in a clone') from error
    return flax


def _wanted(model: Any) -> list[str]:
    """Which of `rngs` and `hp` a builder takes."""
    if isinstance(model, _flax().nnx.Module):
        raise TypeError(
            f"model is a {type(model).__name__} that exists already; every seed draws its own. Give what builds it: "
            f"lambda rngs: {type(model).__name__}(..., rngs=rngs)."
        )
    if not callable(model):
        raise TypeError(
            "model must be a function that builds a Flax module, a flax.linen.Module, or two functions (init, apply), "
            f"not {model!r}."
        )
    partial = model if isinstance(model, functools.partial) else functools.partial(model)
    # The signature of a class of nnx is that of its metaclass, which takes anything.
    first = functools.partial(partial.func.__init__, None) if isinstance(partial.func, type) else partial.func
    arguments = inspect.signature(functools.partial(first, *partial.args, **partial.keywords)).parameters.values()
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in arguments if p.default is p.empty and p.kind not in fixed]
    if unknown := [name for name in needed if name not in ("rngs", "hp")]:
        raise TypeError(
            f"model is called with arguments named rngs (a flax.nnx.Rngs) and hp (the structural hyperparameters), but "
            f"asks for {', '.join(unknown)}. Wrap it: lambda rngs: Model(..., rngs=rngs), or lambda hp: Model(...)."
        )
    return [p.name for p in arguments if p.name in ("rngs", "hp") and p.name not in partial.keywords]


def _functions(model: tuple[Any, ...]) -> Network:
    if len(model) != 2 or not all(map(callable, model)):
        raise TypeError(f"A model of functions is two of them, init(key) and apply(params, inputs), not {model!r}.")
    init, apply = model
    return Network(
        lambda key: (init(key), ()),
        lambda params, rest, inputs: (apply(params, inputs), rest),
        lambda params, rest, inputs: apply(params, inputs),
    )


def _nnx(build: Callable[[jax.Array], Any]) -> Network:
    from flax import nnx

    def checked(key: jax.Array) -> Any:
        module = build(key)
        if not isinstance(module, nnx.Module):
            raise TypeError(f"model(rngs) must return a flax.nnx.Module, not {type(module).__name__}.")
        return module

    def draw(key: jax.Array) -> tuple[Any, Any]:
        _, params, rest = nnx.split(checked(key), nnx.Param, ...)
        return params, rest

    module = nnx.eval_shape(lambda: checked(jax.random.key(0)))
    modes = _modes(module)
    module.train()
    training, *_ = nnx.split(module, nnx.Param, ...)
    module.eval()
    testing, *_ = nnx.split(module, nnx.Param, ...)

    def train(params: Any, rest: Any, inputs: Any) -> tuple[Any, Any]:
        # Copies, for batch statistics may only be written at the trace level that made their variables.
        module = nnx.merge(training, params, rest, copy=True)
        predictions = module(inputs, **modes[True])
        # What a model records on its way is no part of its state.
        nnx.pop(module, nnx.Intermediate)
        return predictions, nnx.split(module, nnx.Param, ...)[2]

    def test(params: Any, rest: Any, inputs: Any) -> Any:
        return nnx.merge(testing, params, rest, copy=True)(inputs, **modes[False])

    return Network(draw, train, test)


def _linen(module: Any, inputs: np.ndarray) -> Network:
    modes = _modes(module)

    def draw(key: jax.Array) -> tuple[Any, Any]:
        first, stream = jax.random.split(key)
        variables = dict(module.init(first, jnp.asarray(inputs[:1]), **modes[False]))
        params = variables.pop("params", {})
        return params, (variables, stream, jnp.zeros((), jnp.uint32))

    def train(params: Any, rest: Any, inputs: Any) -> tuple[Any, Any]:
        variables, stream, count = rest
        # Where a module asks for a stream that it was not given, such as `dropout`, it draws from this one.
        key = jax.random.fold_in(stream, count)
        predictions, variables = module.apply(
            {"params": params, **variables}, inputs, rngs=key, mutable=list(variables), **modes[True]
        )
        return predictions, (dict(variables), stream, count + 1)

    def test(params: Any, rest: Any, inputs: Any) -> Any:
        return module.apply({"params": params, **rest[0]}, inputs, **modes[False])

    return Network(draw, train, test)


def _modes(module: Any) -> dict[bool, dict[str, bool]]:
    """By whether it is trained, what a module is to be told, as far as its call has arguments for it."""
    names = inspect.signature(type(module).__call__).parameters
    return {
        training: {name: training for name in _ON if name in names}
        | {name: not training for name in _OFF if name in names}
        for training in (True, False)
    }
