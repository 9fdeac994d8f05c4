"""What is wrong with a trial is found by tracing it, and said: states, losses and metrics."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checked import HYPER, KEY, evaluate, init, run, step, stepping

from momentum_optax.sweeps.trials.checks import check
from momentum_optax.sweeps.trials.trial import trial as three


def test_a_good_trial_is_described():
    found = run()
    assert found.state == jax.eval_shape(lambda: init({"learning_rate": 0.1, "beta": 0.9}, KEY))
    assert {name: x.dtype.name for name, x in found.metrics.items()} == {
        "distance": "float32", "seen": "int32", "done": "bool",
    }  # fmt: skip
    assert all(x.shape == () for x in found.metrics.values())


def test_nothing_is_compiled():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(event) if "backend_compile" in event else None
    )
    trial = three(init, lambda *args: step(*args), evaluate)
    item = trial.plan({}, 0, 1)[0]
    compiled.clear()
    check(trial, {}, HYPER, KEY, item)
    assert not compiled


# The state.


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda s: s | {"seen": s["seen"] * 0.5}, r"state\['seen'\]: int32\[\] given, float32\[\] returned"),
        (lambda s: s | {"seen": s["seen"][None]}, r"state\['seen'\]: int32\[\] given, int32\[1\] returned"),
        (lambda s: {k: v for k, v in s.items() if k != "seen"}, r"state\['seen'\]: int32\[\] given, nothing returned"),
        (lambda s: s | {"more": jnp.ones((2, 3))}, r"state\['more'\]: nothing given, float32\[2,3\] returned"),
        (lambda s: s | {"seen": jax.random.key(1)}, r"state\['seen'\]: int32\[\] given, key<fry>\[\] returned"),
        (lambda s: s | {"memory": list(s["memory"])}, r"state\['memory'\]: a tuple given, a list returned"),
        (
            lambda s: s | {"memory": (tuple(s["memory"][0]), s["memory"][1])},
            r"state\['memory'\]\[0\]: a TraceState given, a tuple returned",
        ),
    ],
)
def test_a_step_that_changes_the_state(change, line):
    with pytest.raises(TypeError, match=rf"step must return a state of the structure.*:\n  {line}$"):
        run(step=stepping(lambda state, loss: (change(state), loss)))


def test_only_the_first_leaves_that_differ_are_shown():
    def half(state, loss):
        return jax.tree.map(lambda x: x.astype(jnp.bfloat16), state), loss

    with pytest.raises(TypeError) as caught:
        run(step=stepping(half))
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert lines[-1] == "  and 2 more"


def test_static_contents_that_differ():
    class Box(NamedTuple):
        x: jax.Array

    @jax.tree_util.register_pytree_node_class
    class Static:
        def __init__(self, x, name):
            self.x, self.name = x, name

        def tree_flatten(self):
            return (self.x,), self.name

        @classmethod
        def tree_unflatten(cls, name, children):
            return cls(*children, name)

    def change(hp, state, key):
        return Box(Static(state.x.x, "b")), state.x.x

    with pytest.raises(TypeError, match=r"state\.x: a Static given, a Static with other static contents returned"):
        run(
            init=lambda hp, key: Box(Static(hp["learning_rate"] * hp["beta"], "a")),
            step=change,
            evaluate=lambda hp, s: {"x": s.x.x},
        )


def test_the_type_of_a_python_number_is_no_difference():
    def strong(hp, state, key):
        return state + hp["learning_rate"] * hp["beta"], state

    found = run(init=lambda hp, key: 0.0, step=strong, evaluate=lambda hp, state: {"x": state})
    assert (found.state.dtype, found.state.weak_type) == (np.float32, False)
    with pytest.raises(TypeError, match=r"state: int32\[\] given, float32\[\] returned"):
        run(init=lambda hp, key: 0, step=strong, evaluate=lambda hp, state: {"x": state})


def test_a_state_that_holds_no_arrays():
    with pytest.raises(TypeError, match=r"init must return arrays, but returns a str at \['name'\]\."):
        run(init=lambda hp, key: {"name": "sgd"})
    with pytest.raises(TypeError, match=r"step must return arrays, but returns a PjitFunction at \[0\]\['f'\]\."):
        run(step=stepping(lambda state, loss: (state | {"f": jnp.sin}, loss)))


# Loss and metrics.


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda x: x[None], r"float32\[1\]"),
        (lambda x: x > 0, r"bool\[\]"),
        (lambda x: jnp.int32(1), r"int32\[\]"),
        (lambda x: x + 1j, r"complex64\[\]"),
        (lambda x: {"loss": x}, "a dict"),
        (lambda x: None, "nothing"),
    ],
)
def test_a_loss_that_is_no_real_scalar(loss, words):
    with pytest.raises(TypeError, match=f"step: the loss must be a .*, not {words}"):
        run(step=stepping(lambda state, x: (state, loss(x))))


@pytest.mark.parametrize("result", [lambda s, x: s, lambda s, x: (s, x, x), lambda s, x: x])
def test_a_step_that_returns_no_pair(result):
    with pytest.raises(TypeError, match=r"step must return two values, the state and the loss, not (a|3 values)"):
        run(step=stepping(result))


@pytest.mark.parametrize(
    ("metrics", "kind", "words"),
    [
        (lambda x: {"loss": x}, TypeError, r"the metric 'loss' must be a real number of shape \(\), not float32\[3\]"),
        (lambda x: {"loss": x[0] + 1j}, TypeError, r"the metric 'loss' must be .* not complex64\[\]"),
        (lambda x: {"loss": KEY}, TypeError, r"the metric 'loss' must be .* not key<fry>\[\]"),
        (
            lambda x: {"loss": {"a": x[0]}},
            TypeError,
            r"'loss' must be a real number of shape \(\), not a dict",
        ),
        (lambda x: {0: x[0]}, TypeError, "the name of a metric must be a string, not 0"),
        (lambda x: x[0], TypeError, "evaluate must return metrics by name, .* not a"),
        (lambda x: {}, ValueError, "at least one metric"),
        (lambda x: {"seed": x[0]}, ValueError, "cannot be called 'seed', which is the name of a column"),
        (lambda x: {"train_loss": x[0]}, ValueError, "cannot be called 'train_loss', .* a column"),
        (lambda x: {"beta": x[0]}, ValueError, "cannot be called 'beta', which is the name of a hyperparameter"),
    ],
)
def test_bad_metrics(metrics, kind, words):
    with pytest.raises(kind, match=words):
        run(evaluate=lambda hp, state: metrics(state["params"]["w"]))
