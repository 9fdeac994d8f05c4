"""Coefficients that have to see first: the paths of the params, or the training itself.

A method knows numbers, schedules and trees of them. Where one of its arguments holds something else, the method is made
anew inside `init` and `update`, from what can be known there: `layerwise` and `by_depth` become trees by the names of
the params, a rule becomes the number that it decides on. So no method handles them, and they go with every method,
Optax's own included.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec

import jax
import jax.numpy as jnp
import optax

from . import _coefficient as coefficient
from . import _grouping as grouping
from . import _keeping as keeping
from . import _leafwise as leafwise
from ._evaluation import lookahead_params
from ._paths import listed
from ._plan import Method, aligned, deferred_in, names, rules_in
from ._rule import Seen
from ._transformation import increment, transformation, zero_count

P = ParamSpec("P")


def adaptive(make: Callable[P, optax.GradientTransformation]) -> Callable[P, optax.GradientTransformationExtraArgs]:
    """Lets rules, `layerwise` and `by_depth` stand where a maker of transformations takes coefficients.

    Args:
      make: makes a transformation. If it takes a `learning_rate`, its updates go downhill. An argument that is
        annotated as a sequence holds several coefficients.
    """

    @functools.wraps(make)
    def build(*args: P.args, **kwargs: P.kwargs) -> optax.GradientTransformationExtraArgs:
        if not deferred_in((args, kwargs)):
            return optax.with_extra_args_support(make(*args, **kwargs))
        try:
            arguments = inspect.signature(make).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{make.__name__}: {error}") from None
        arguments.apply_defaults()
        method = Method(make, arguments)
        return _with_rules(method) if method.has_rules else _by_path(method)

    return build


def _by_path(method: Method) -> optax.GradientTransformationExtraArgs:
    """Without rules there is nothing to keep: the state is that of the transformation."""

    def made(tree: Any) -> optax.GradientTransformationExtraArgs:
        return method.with_columns(tree, method.plan(tree).columns) if names(tree) else method.without_leaves()

    def update(updates, state, params=None, **extra):
        return made(updates if params is None else params).update(updates, state, params, **extra)

    return transformation(lambda params: made(params).init(params), update)


class AdaptiveState(NamedTuple):
    """State of a transformation that has rules among its coefficients.

    Attributes:
      count: `()` int32, updates so far.
      values: what the rules decided on for the last update: `()` for each, by the argument and the place in it.
      rules: the states of the rules, by the same names.
      kept: what the rules of an argument keep of each leaf, by the argument; shaped like the params.
      inner_state: state of the transformation itself.
    """

    count: jax.Array
    values: Any
    rules: Any
    kept: Any
    inner_state: Any


def _with_rules(method: Method) -> optax.GradientTransformationExtraArgs:
    keepers = {
        place.argument for place, c in method.places.items() if any(rule.keeps != "nothing" for rule in rules_in(c))
    }

    def init(params: optax.Params) -> AdaptiveState:
        if not names(params):  # nothing to watch, or a placeholder that asks which parts of a state belong to params
            nothing, kept = jnp.zeros(()), dict.fromkeys(sorted(keepers), params)
            return AdaptiveState(zero_count(), nothing, nothing, kept, method.without_leaves().init(params))
        plan = method.plan(params)
        values = {slot.name: watch.rule.start[slot.output] for watch in plan.watches for slot in watch.slots}
        values = coefficient.stored(values)
        rules = {watch.name: coefficient.stored(watch.rule.init()) for watch in plan.watches}
        inner = method.with_columns(params, plan.values(values)).init(params)
        kept = {argument: keeping.nothing_yet(argument, plan, params) for argument in sorted(keepers)}
        return AdaptiveState(zero_count(), values, rules, kept, inner)

    def update(updates, state: AdaptiveState, params=None, **extra) -> tuple[optax.Updates, AdaptiveState]:
        if not names(updates):
            return updates, state
        tree = updates if params is None else params
        plan = method.plan(tree)
        unknown = {slot.name for watch in plan.watches for slot in watch.slots} - set(state.values)
        if unknown:
            raise ValueError(
                f"the updates do not have the structure of the state, which has nothing for {listed(sorted(unknown))}. "
                "Where a whole branch of them is None, pass the params as well: update(updates, state, params)."
            )
        gradients = aligned(tree, updates)
        structure = jax.tree.structure(tree, is_leaf=grouping.is_absent)
        sign = -1 if method.downhill else 1

        def step(values, updates=updates, params=params):
            return method.with_columns(tree, plan.values(values)).update(updates, state.inner_state, params, **extra)

        memory: Any = None
        if any(watch.rule.hears_memory for watch in plan.watches):
            # Without a gradient, and at params of 0, from which no weight decays, the memory speaks alone.
            alone, _ = step(state.values, *(jax.tree.map(jnp.zeros_like, x) for x in (updates, params)))
            memory = aligned(tree, alone)
        kept = {argument: structure.flatten_up_to(tree) for argument, tree in state.kept.items()}

        values, rules, at_work = dict(state.values), dict(state.rules), []
        for watch in plan.watches:
            leaves = [i for i in watch.leaves if not grouping.is_absent(gradients[i])]
            if not leaves:
                continue
            at_work.append((watch, leaves))
            rates = method.learning_rates(tree, plan, values, state.count) if watch.rule.needs_learning_rate else None
            # The sensitivity is that of the params, which go downhill.
            turn = -sign if watch.rule.keeps == "sensitivity" else 1
            seen = Seen(
                where=watch.name,
                count=state.count,
                gradients=[leafwise.widen(gradients[i]) for i in leaves],
                memory=memory and [sign * leafwise.widen(memory[i]) for i in leaves],
                kept=None
                if watch.rule.keeps == "nothing"
                else [turn * leafwise.widen(kept[watch.argument][i]) for i in leaves],
                learning_rates=rates and [rates[i] for i in leaves],
                value=extra.get("value"),
            )
            decided, new = watch.rule.decide(rules[watch.name], seen)
            new_values = {slot.name: decided[slot.output] for slot in watch.slots}
            old_values = {name: values[name] for name in new_values}
            new_values, rules[watch.name] = _if_finite((new_values, new), (old_values, rules[watch.name]))
            values |= new_values

        def moved(out, inner):
            return _steps(tree, out, state.inner_state, inner)

        out, inner = step(values)
        for argument, old in kept.items():
            new = keeping.after(argument, plan, old, gradients, values, lambda values: moved(*step(values)))
            kept[argument] = structure.unflatten(new)
        steps = moved(out, inner)
        for watch, leaves in at_work:
            learnt = watch.rule.learn(rules[watch.name], [leafwise.widen(steps[i]) for i in leaves])
            rules[watch.name] = _if_finite(learnt, rules[watch.name])
        return out, AdaptiveState(increment(state.count), values, rules, kept, inner)

    return transformation(init, update)


def _steps(tree: Any, out: optax.Updates, before: Any, after: Any) -> list[Any]:
    """By how much the point has moved, at each leaf, at which the gradient is taken.

    That is the update, and where a method looks ahead of the params also what it looks ahead by.
    """
    origin = jax.tree.map(lambda x: jnp.zeros_like(leafwise.widen(x)), tree)
    starts, ends = lookahead_params(before, origin), lookahead_params(after, origin)
    steps = aligned(tree, out)
    if ends is origin:
        return steps
    columns = (jax.tree.leaves(point, is_leaf=grouping.is_absent) for point in (starts, ends))
    return [
        step if grouping.is_absent(step) else leafwise.widen(step) + end - start
        for step, start, end in zip(steps, *columns, strict=True)
    ]


def _if_finite(new: Any, old: Any) -> Any:
    """The new numbers in the dtypes of the old ones; all of the old ones if any of the new is not finite."""
    parts = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(new)]
    finite = jnp.all(jnp.stack(parts)) if parts else True
    return jax.tree.map(lambda n, o: jnp.where(finite, n, o).astype(o.dtype), new, old)
