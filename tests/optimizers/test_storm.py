"""STORM against its paper, what it promises about noise, and the two gradients that it takes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import oracles_averaging
import pytest
from flax import nnx
from helpers import MATRIX, START, STEPS, assert_close, curved, join, linear, moving, noise, per_leaf, split

import momentum_optax as mo

SHIFTS = noise(STEPS, 5)


def noisy(t, x):
    """The gradient of batch t: that of `curved`, on a slope and with a curvature of its own."""
    return curved(x) + SHIFTS[t] * (1 + 0.2 * x)


def loss(params, shift):
    """A loss whose gradient is `noisy`."""
    x = join(params)
    own = jnp.sum(shift * (x + 0.1 * x**2))
    return x @ MATRIX @ x / 2 + 0.025 * jnp.sum(x**4) + own


def descend(tx, shifts=SHIFTS, x0=START, loss=loss, *, approximate=False):
    """Minimises with two gradients of each batch (or one), in float64: the params after each update."""
    with jax.enable_x64(True):
        gradients = mo.two_point_gradients(loss)

        def body(carry, shift):
            params, state = carry
            before = params if approximate else mo.previous_params(state, params)
            _, g, previous = gradients(params, before, shift)
            extra = {} if approximate else {"previous_gradient": previous}
            updates, state = tx.update(g, state, params, **extra)
            params = mo.apply_updates(params, updates)
            return (params, state), join(params)

        params = split(jnp.asarray(x0))
        run = jax.jit(lambda: jax.lax.scan(body, (params, tx.init(params)), jnp.asarray(shifts))[1])
        return np.concatenate([[x0], np.asarray(run())])


NUMBERS = {"learning_rate": 0.05, "a": 0.3}


@pytest.mark.parametrize("kind", ["numbers", "moving", "by leaf"])
def test_it_is_the_algorithm_of_the_paper(kind):
    ours: dict = NUMBERS
    theirs: dict = NUMBERS
    if kind == "moving":
        ours = theirs = {name: moving(value) for name, value in NUMBERS.items()}
    elif kind == "by leaf":
        ours = {name: {"w": value, "b": moving(0.6 * value)} for name, value in NUMBERS.items()}
        theirs = {name: lambda count, v=value: per_leaf(v, moving(0.6 * v)(count)) for name, value in NUMBERS.items()}
    assert_close(descend(mo.storm(**ours)), oracles_averaging.storm(noisy, START, STEPS, **theirs))


@pytest.mark.parametrize("numbers", [{"k": 0.1, "w": 0.1, "c": 10.0}, {"k": moving(0.3), "w": moving(1.0), "c": 100.0}])
def test_the_adaptive_one_is_the_whole_algorithm(numbers):
    expected = oracles_averaging.adaptive_storm(noisy, START, STEPS, **numbers)
    assert_close(descend(mo.adaptive_storm(**numbers)), expected)


def test_with_a_of_one_it_is_gradient_descent():
    """A plain 1 keeps nothing and asks for nothing; a traced one does the same by arithmetic."""
    expected = oracles_averaging.storm(noisy, START, STEPS, 0.05, 1.0)
    assert_close(descend(mo.storm(0.05, lambda count: 1.0 + 0 * count)), expected)
    tx, x = mo.storm(0.05, 1.0), jnp.ones(3)
    state = tx.init(x)
    assert not [leaf for leaf in jax.tree.leaves(state) if leaf.shape == (3,)]
    update, _ = tx.update(x, state, x)
    np.testing.assert_allclose(update, -0.05 * x)


@pytest.mark.parametrize("a", [0.0, 0.2])
def test_without_noise_it_is_gradient_descent_for_every_a(a):
    run = descend(mo.storm(0.05, a), np.zeros((STEPS, 5)))
    assert_close(run, oracles.heavy_ball(curved, START, STEPS, 0.05, 0.0), 1e-11)


def test_an_average_lags_and_this_does_not():
    """With a constant curvature and noise that does not depend on the params, the error is an average of the noise."""
    shifts = noise(400, 5, seed=3)

    def slope(params, shift):
        x = join(params)
        return x @ MATRIX @ x / 2 + shift @ x

    xs = descend(mo.storm(0.01, 0.02), shifts, loss=slope)
    errors, error = [], None
    for t in range(400):
        # The error of the estimate: e <- shift + (1 - a) (e - shift), exactly.
        error = shifts[t] if error is None else shifts[t] + 0.98 * (error - shifts[t])
        errors.append(xs[t] - 0.01 * (linear(xs[t]) + error) - xs[t + 1])
    assert np.max(np.abs(errors)) < 1e-12


def test_at_gamma_one_the_correction_makes_an_average_storm():
    """Yuan et al., section 2: scaled by 1 instead of .025 this is STORM with a = 1 - beta."""
    beta, shifts = 0.8, SHIFTS.copy()
    average = optax.chain(
        mo.gradient_correction(beta, 1.0, max_norm=None), mo.ema(beta, debias=False), mo.scale_by_learning_rate(0.05)
    )
    storm = mo.storm(0.05, 1 - beta)

    def from_rest(params, shift):
        # No gradient at first, so that both begin with the same velocity, 0.
        return jnp.where(jnp.any(shift != 0), loss(params, shift), 0.0)

    shifts[0] = 0
    assert_close(descend(average, shifts, loss=from_rest), descend(storm, shifts, loss=from_rest), 1e-11)


def test_after_a_reset_it_begins_with_the_gradient():
    tx, x = mo.storm(1.0, 0.25), jnp.ones(2)
    _, state = tx.update(x, tx.init(x), x, previous_gradient=x)
    update, state = tx.update(3 * x, mo.reset(state), x, previous_gradient=2 * x)
    np.testing.assert_allclose(update, -3 * x)
    update, _ = tx.update(3 * x, mo.rescale(state, 0.0), x, previous_gradient=2 * x)
    assert np.all(np.isfinite(update))


def test_previous_params_are_those_of_the_last_update():
    tx, x = optax.chain(optax.clip(10.0), mo.storm(0.5)), split(jnp.asarray(START, jnp.float32))
    state = tx.init(x)
    jax.tree.map(np.testing.assert_array_equal, mo.previous_params(state, x), x)
    updates, state = tx.update(x, state, x, previous_gradient=x)
    new = mo.apply_updates(x, updates)
    jax.tree.map(np.testing.assert_array_equal, mo.previous_params(state, new), x)


def test_a_leaf_that_rests_keeps_its_previous_params():
    tx = mo.storm(0.5, 0.5)
    x = {"a": jnp.zeros(2), "b": jnp.zeros(2)}
    g = {"a": jnp.ones(2), "b": jnp.ones(2)}
    _, state = tx.update(g, tx.init(x), x, previous_gradient=g)
    later = {"a": jnp.ones(2), "b": jnp.ones(2)}
    _, state = tx.update({**g, "b": None}, state, later, previous_gradient={**g, "b": None})
    previous = mo.previous_params(state, later)
    np.testing.assert_array_equal(previous["a"], 1.0)
    np.testing.assert_array_equal(previous["b"], 0.0)


def test_masked_leaves_are_not_remembered():
    x = {"a": jnp.ones(2), "b": jnp.ones(2)}
    tx = optax.masked(mo.storm(0.5), {"a": True, "b": False})
    _, state = tx.update(x, tx.init(x), x, previous_gradient={"a": x["a"], "b": optax.MaskedNode()})
    new = {"a": jnp.zeros(2), "b": jnp.zeros(2)}
    previous = mo.previous_params(state, new)
    assert previous["b"] is new["b"]
    np.testing.assert_array_equal(previous["a"], 1.0)


ONLY_W, NOT_W = {"w": True, "b": False}, {"w": False, "b": True}


@pytest.mark.parametrize(
    "around",
    [
        lambda tx: optax.chain(optax.masked(tx, ONLY_W), optax.masked(optax.sgd(0.05), NOT_W)),
        lambda tx: optax.partition({"two": tx, "one": optax.sgd(0.05)}, {"w": "two", "b": "one"}),
        lambda tx: mo.layerwise_chain({"w": tx, "b": optax.sgd(0.05)}),
    ],
    ids=["masked", "partition", "layerwise_chain"],
)
@pytest.mark.parametrize("tx", [mo.storm(0.05, 0.3), mo.mars(0.05, gamma=1.0)], ids=["storm", "mars"])
def test_it_goes_with_other_methods_on_other_leaves(tx, around):
    """Masks and partitions hand on the second gradient of all leaves, also of those that are masked out."""

    def apart(params, shift):
        return sum(jnp.sum(x**4 / 4 + (shift[0] + shift[1] * x) * x) for x in jax.tree.leaves(params))

    params = split(jnp.asarray(START, jnp.float32))
    alone = {"w": (params["w"], tx), "b": (params["b"], optax.sgd(0.05))}
    step, together = mo.make_step(apart, around(tx), donate=False), params
    state = around(tx).init(params)
    for shift in jnp.asarray(SHIFTS[:4], jnp.float32):
        together, state, _ = step(together, state, shift)
    for name, (x, own) in alone.items():
        step, state = mo.make_step(apart, own, donate=False), own.init(x)
        for shift in jnp.asarray(SHIFTS[:4], jnp.float32):
            x, state, _ = step(x, state, shift)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), together[name], x)


def test_a_state_that_remembers_none_is_an_error():
    with pytest.raises(ValueError, match=r"previous_params: no method .* got a state of [A-Z]"):
        mo.previous_params(mo.heavy_ball(0.1).init(jnp.ones(2)), jnp.ones(2))


def test_two_point_gradients_are_two_gradients():
    params, before, batch = (
        split(jnp.asarray(START, jnp.float32)),
        split(jnp.ones(5)),
        jnp.asarray(SHIFTS[0], jnp.float32),
    )
    value, g, previous = jax.jit(mo.two_point_gradients(loss))(params, before, batch)
    expected = jax.value_and_grad(loss)(params, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), (value, g), expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), previous, jax.grad(loss)(before, batch))


def test_two_point_gradients_hand_on_what_the_loss_says_beside():
    def with_aux(params, scale, *, key):
        noise = jax.random.normal(key, ())
        return scale * params["x"] * noise, {"seen": params["x"]}

    gradients = mo.two_point_gradients(with_aux, has_aux=True)
    key = jax.random.key(0)
    (value, aux), g, previous = gradients({"x": jnp.float32(2)}, {"x": jnp.float32(5)}, 3.0, key=key)
    assert float(aux["seen"]) == 2
    np.testing.assert_allclose(value, 2 * g["x"])
    assert float(g["x"]) == float(previous["x"])  # one key for both
    with pytest.raises(TypeError, match="loss_fn must be a function"):
        mo.two_point_gradients(1.0)


@pytest.mark.parametrize("tx", [mo.storm(0.05, 0.3), mo.mars(0.05)], ids=["storm", "mars"])
def test_make_step_takes_both_gradients(tx):
    shifts = jnp.asarray(SHIFTS[:10], jnp.float32)
    step = mo.make_step(loss, tx)
    params = split(jnp.asarray(START, jnp.float32))
    state = tx.init(params)
    for shift in shifts:
        params, state, metrics = step(params, state, shift)
    np.testing.assert_allclose(join(params), descend(tx, SHIFTS[:10])[-1], rtol=1e-4)
    assert metrics["loss"].shape == ()
    before = mo.previous_params(state, params)
    assert np.all(np.asarray(join(before)) != np.asarray(join(params)))


def test_make_step_takes_both_gradients_of_a_model():
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    tx = mo.storm(0.1, 0.2)
    state = tx.init(nnx.state(model, nnx.Param))
    step = mo.make_step(lambda model, batch: jnp.mean((model(batch) - 1) ** 2), tx)
    batch = jnp.asarray(noise(16, 3), jnp.float32)
    losses = []
    for _ in range(20):
        model, state, metrics = step(model, state, batch)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.3 * losses[0]


def test_a_previous_gradient_that_is_given_is_taken():
    tx = mo.storm(1.0, 0.5)
    step = mo.make_step(lambda x, batch: batch * x, tx, donate=False)
    x = jnp.zeros(())
    x, state, _ = step(x, tx.init(x), 1.0)
    x, state, _ = step(x, state, 1.0, previous_gradient=jnp.asarray(3.0))
    np.testing.assert_allclose(x, -1.0 - (1.0 + 0.5 * (1.0 - 3.0)))


def test_make_step_takes_one_gradient_where_nothing_is_remembered():
    def programs(a):
        tx, x = mo.storm(0.1, a), jnp.ones(())
        return str(jax.make_jaxpr(mo.make_step(lambda x, batch: batch * x**2, tx))(x, tx.init(x), 1.0))

    assert "[2]" in programs(0.5)  # two points in one vmapped pass
    assert "[2]" not in programs(1.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mo.storm(0.1, 1.5), r"a must be in \[0, 1\]; got 1.5"),
        (lambda: mo.adaptive_storm(w=0.0), "w must be finite and above 0"),
        (lambda: mo.adaptive_storm(c=-1.0), "c must be finite and at least 0"),
    ],
)
def test_bad_arguments_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
