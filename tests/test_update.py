"""The ready update."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import momentum_optax as mo


def draw(seed):
    rng = np.random.default_rng(seed)
    return {"w": jnp.asarray(rng.standard_normal((16, 12)), jnp.float32), "b": jnp.asarray(rng.standard_normal(4))}


@pytest.fixture
def one_device(monkeypatch):
    """As for users; the tests have eight."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)


def compiled_loops(monkeypatch):
    """Counts the loops of what is compiled from now on."""
    counts, jit = [], jax.jit

    def counting(function, **options):
        jitted = jit(function, **options)

        def call(*arguments):
            counts.append(str(jax.make_jaxpr(function)(*arguments)).count("while["))
            return jitted(*arguments)

        return call

    monkeypatch.setattr(jax, "jit", counting)
    return counts


@pytest.mark.parametrize("donate", [True, False])
@pytest.mark.parametrize("blocks", [True, False, None])
def test_the_update_is_the_one_written_by_hand(blocks, donate, small_blocks, one_device):
    tx = optax.chain(optax.clip_by_global_norm(0.5), mo.adamw(0.1, weight_decay=0.01))
    update = mo.make_update(tx, blocks=blocks, donate=donate)
    params, mine = draw(0), draw(0)
    state, my_state = tx.init(params), tx.init(mine)
    for count in range(4):
        params, state = update(params, state, draw(count))
        updates, my_state = tx.update(draw(count), my_state, mine)
        mine = optax.apply_updates(mine, updates)
    assert jax.tree.structure((params, state)) == jax.tree.structure((mine, my_state))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), (params, state), (mine, my_state))


@pytest.mark.parametrize(
    ("arguments", "loops"),
    [({}, 0), ({"blocks": True}, 1), ({"blocks": False}, 0), ({"blocks": True, "donate": False}, 0)],
    ids=str,
)
def test_which_updates_are_in_blocks(arguments, loops, small_blocks, one_device, monkeypatch):
    """One leaf that is large enough, but the only one: no other core would wait."""
    counts = compiled_loops(monkeypatch)
    tx = mo.adam(0.1)
    params = draw(0)
    mo.make_update(tx, **arguments)(params, tx.init(params), draw(1))
    assert counts == [loops]


def test_equal_leaves_are_in_blocks_by_themselves(small_blocks, one_device, monkeypatch):
    counts = compiled_loops(monkeypatch)
    tx, params = mo.adam(0.1), {i: jnp.ones((16, 12)) for i in range(16)}
    mo.make_update(tx)(params, tx.init(params), {i: jnp.ones((16, 12)) for i in range(16)})
    assert counts == [16]


@pytest.mark.parametrize("place", ["backend", "devices"])
def test_elsewhere_there_are_no_blocks(place, small_blocks, monkeypatch):
    if place == "backend":
        monkeypatch.setattr(jax, "device_count", lambda: 1)
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    counts = compiled_loops(monkeypatch)
    tx, params = mo.adam(0.1), draw(0)
    mo.make_update(tx, blocks=True)(params, tx.init(params), draw(1))
    assert counts == [0]


def test_params_and_state_are_used_up_unless_told_otherwise():
    tx = mo.heavy_ball(0.1)
    for donate in (True, False):
        params, gradients = draw(0), draw(1)
        state = tx.init(params)
        mo.make_update(tx, donate=donate)(params, state, gradients)
        assert params["w"].is_deleted() is donate
        assert state[0].velocity["w"].is_deleted() is donate
        assert not gradients["w"].is_deleted()


@pytest.mark.parametrize("donate", [True, False])
def test_an_array_may_be_there_twice(donate):
    tx = mo.heavy_ball(0.1)
    shared = jnp.ones(3)
    params = {"a": shared, "b": shared}
    state = tx.init(params)
    params, _ = mo.make_update(tx, donate=donate)(params, state, {"a": jnp.ones(3), "b": jnp.zeros(3)})
    np.testing.assert_allclose(params["a"], 0.9, rtol=1e-6)
    np.testing.assert_allclose(params["b"], 1.0)


def test_a_gradient_may_be_the_params():
    """As that of half their squared length is."""
    tx, params = mo.heavy_ball(0.1), draw(0)
    expected = jax.tree.map(lambda p: 0.9 * np.asarray(p), params)
    params, _ = mo.make_update(tx)(params, tx.init(params), params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), params, expected)


def test_what_a_method_asks_for_is_passed_by_keyword():
    tx = mo.storm(0.1)
    params, gradients, previous = draw(0), draw(1), draw(2)
    state = tx.init(params)
    update = mo.make_update(tx, donate=False)
    _, state = update(params, state, gradients, previous_gradient=gradients)
    ours, _ = update(params, state, gradients, previous_gradient=previous)
    updates, _ = tx.update(gradients, state, params, previous_gradient=previous)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), ours, optax.apply_updates(params, updates))
    with pytest.raises(ValueError, match="previous_gradient"):
        update(params, state, gradients)


def test_inside_other_programs_it_is_a_part_of_them(small_blocks, one_device):
    def trained(learning_rate):
        tx = mo.adam(learning_rate)
        params = draw(0)
        update = mo.make_update(tx, blocks=True)

        def step(carry, _):
            return update(*carry, draw(1)), None

        return jax.lax.scan(step, (params, tx.init(params)), length=3)[0][0]

    lanes = jax.jit(jax.vmap(trained))(jnp.asarray([0.1, 0.2]))
    for lane, learning_rate in enumerate((0.1, 0.2)):
        tx, params = mo.adam(learning_rate), draw(0)
        state, update = tx.init(params), mo.make_update(tx, blocks=True)
        for _ in range(3):
            params, state = update(params, state, draw(1))
        jax.tree.map(lambda a, b, lane=lane: np.testing.assert_allclose(a[lane], b, rtol=1e-5), lanes, params)


def test_the_update_is_compiled_once(small_blocks, one_device):
    traces = []

    def counted(updates, state, params=None):
        traces.append(1)
        return updates, state

    tx = optax.chain(optax.GradientTransformation(lambda params: optax.EmptyState(), counted), mo.adam(0.1))
    update, params = mo.make_update(tx, blocks=True), draw(0)
    state = tx.init(params)
    for count in range(3):
        params, state = update(params, state, draw(count))
    assert len(traces) == 1


def test_what_is_no_transformation_is_refused():
    with pytest.raises(TypeError, match="tx must be a gradient transformation; got"):
        mo.make_update(mo.heavy_ball)
    with pytest.raises(TypeError, match=r"blocks must be True, False or None; got 'some'\."):
        mo.make_update(mo.heavy_ball(0.1), blocks="some")
    with pytest.raises(TypeError, match=r"blocks must be True, False or None; got 0\."):
        mo.make_update(mo.heavy_ball(0.1), blocks=0)
