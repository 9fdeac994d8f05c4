import functools

import jax
import numpy as np
import optax
import problem
import pytest

import momentum_optax as mo
from momentum_optax import sweeps
from momentum_optax.sweeps import cross_entropy, grid, sweep

RATES, BETAS = [0.03, 0.1, 0.3], [0.0, 0.9]
POINTS = grid(learning_rate=RATES, beta=BETAS)
TRIAL = problem.make_trial()


@functools.cache
def reference():
    return sweep(TRIAL, POINTS, seeds=3, steps=30, evaluate_every=10, devices=jax.devices()[:1], threads=1)


def assert_same(result, expected=None, rows=slice(None), rtol=1e-5):
    expected = reference() if expected is None else expected
    assert result.metrics.keys() == expected.metrics.keys()
    for name, values in expected.metrics.items():
        np.testing.assert_allclose(result.metrics[name], values[rows], rtol=rtol, atol=1e-6, err_msg=name)


def test_every_lane_equals_a_single_run_stepped_from_python():
    data = problem.make_data()
    result = reference()
    for p, point in enumerate(POINTS):
        tx = optax.sgd(point["learning_rate"], point["beta"])

        @jax.jit
        def step(params, state, inputs, targets, tx=tx):
            loss, gradients = jax.value_and_grad(lambda q: cross_entropy(problem.apply(q, inputs), targets).mean())(
                params
            )
            updates, state = tx.update(gradients, state, params)
            return optax.apply_updates(params, updates), state, loss

        for seed in range(3):
            params = problem.init(jax.random.key(seed))
            state = tx.init(params)
            losses = []
            for rows in TRIAL.plan({}, seed, 30)["rows"]:
                params, state, loss = step(params, state, data.train_inputs[rows], data.train_targets[rows])
                losses.append(float(loss))
            logits = problem.apply(params, data.test_inputs)
            final = {name: values[p, seed, -1] for name, values in result.metrics.items()}
            np.testing.assert_allclose(final["test_loss"], cross_entropy(logits, data.test_targets).mean(), 5e-5)
            np.testing.assert_allclose(final["test_accuracy"], (logits.argmax(-1) == data.test_targets).mean(), 1e-6)
            np.testing.assert_allclose(final["train_loss"], np.mean(losses[20:]), 5e-5)


def test_runs_differ_where_they_should():
    losses = reference().metrics["test_loss"][..., -1]
    assert len(np.unique(losses.round(6))) == losses.size


@pytest.mark.parametrize("devices", [2, 3, 5, 8])
def test_sharded_over_devices(devices):
    assert len(jax.devices()) >= devices, "conftest.py asks for eight"
    result = sweep(TRIAL, POINTS, seeds=3, steps=30, evaluate_every=10, devices=jax.devices()[:devices])
    assert result.settings["devices"] == devices
    assert_same(result)


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_of_one_device(threads):
    result = sweep(TRIAL, POINTS, seeds=3, steps=30, evaluate_every=10, devices=jax.devices()[:1], threads=threads)
    assert result.settings["threads"] == threads
    assert_same(result)


def test_threads_keep_the_callers_context():
    def run(threads):
        return sweep(
            problem.make_trial(), POINTS, seeds=2, steps=6, evaluate_every=4, devices=jax.devices()[:1], threads=threads
        )

    with jax.enable_x64(True):
        assert run(2).metrics["test_loss"].dtype == np.float64
        assert_same(run(2), run(1), rtol=1e-12)


def test_numpys_whole_numbers_are_whole():
    result = sweep(TRIAL, {"learning_rate": 0.1, "beta": 0.9}, seeds=np.int64(2), steps=np.int32(2))
    assert (result.seeds, result.steps.tolist()) == ((0, 1), [1, 2])


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_chunks_change_nothing(chunk):
    result = sweep(
        TRIAL,
        POINTS,
        seeds=3,
        steps=30,
        evaluate_every=10,
        devices=jax.devices()[:1],
        threads=1,
        lanes_per_chunk=chunk,
    )
    assert_same(result)


def test_more_devices_than_runs():
    result = sweep(TRIAL, POINTS[:1], seeds=2, steps=30, evaluate_every=10)
    assert result.metrics["test_loss"].shape == (1, 2, 3)
    np.testing.assert_allclose(
        result.metrics["test_loss"], reference().metrics["test_loss"][:1, :2], rtol=1e-5, atol=1e-6
    )


def test_a_rest_of_steps_is_trained_and_evaluated():
    result = sweep(TRIAL, POINTS, seeds=3, steps=30, evaluate_every=20)
    assert result.steps.tolist() == [20, 30]
    np.testing.assert_allclose(
        result.metrics["test_loss"], reference().metrics["test_loss"][..., 1:], rtol=1e-5, atol=1e-6
    )


def test_seeds_by_name():
    result = sweep(TRIAL, POINTS, seeds=[2, 0], steps=30, evaluate_every=10)
    np.testing.assert_allclose(
        result.metrics["test_loss"], reference().metrics["test_loss"][:, [2, 0]], rtol=1e-5, atol=1e-6
    )


def test_a_diverged_run_is_marked_and_harms_no_other():
    rows = [*POINTS, {"learning_rate": 3e38, "beta": 0.9}]
    rows = [rows[i] for i in (0, 1, 2, 6, 3, 4, 5)]
    result = sweep(TRIAL, rows, seeds=3, steps=30, evaluate_every=10, devices=jax.devices()[:1], threads=1)
    assert result.diverged.tolist() == [[p == 3] * 3 for p in range(7)]
    assert ((result.diverged_at[3] >= 1) & (result.diverged_at[3] <= 10)).all()
    assert all(np.isnan(values[3]).all() for values in result.metrics.values())
    kept = [0, 1, 2, 4, 5, 6]
    for name, values in reference().metrics.items():
        np.testing.assert_allclose(result.metrics[name][kept], values, rtol=1e-6, atol=1e-7, err_msg=name)


def test_a_run_diverges_at_the_step_where_its_loss_stops_being_finite():
    def optimizer(hyper):
        # Steps of size 0 until the given count, then one to infinity.
        def schedule(count):
            return jax.numpy.where(count == hyper["when"], np.inf, 0.0)

        return optax.sgd(schedule)

    trial = problem.make_trial(optimizer=optimizer)
    result = sweep(
        trial,
        [{"when": 3.0}, {"when": 14.0}, {"when": 19.0}, {"when": 99.0}],
        seeds=2,
        steps=20,
        evaluate_every=10,
    )
    # The update at count c is the (c + 1)th; it shows in the loss of the next step, or in an evaluation.
    assert result.diverged_at.tolist() == [[5, 5], [16, 16], [20, 20], [-1, -1]]
    assert np.isnan(result.metrics["test_loss"]).tolist() == [
        [[True, True]] * 2, [[False, True]] * 2, [[False, True]] * 2, [[False, False]] * 2
    ]  # fmt: skip


def test_a_run_whose_loss_is_finite_again_has_diverged():
    def step(hp, count, key):
        return count + 1, jax.numpy.where(count == hp["when"], np.nan, count)

    trial = sweeps.trial(lambda hp, key: np.float32(0), step, lambda hp, count: {"count": count})
    result = sweep(trial, grid(when=[2.0, 9.0, 13.0, 99.0]), seeds=1, steps=20, evaluate_every=10)
    assert result.diverged_at.tolist() == [[3], [10], [14], [-1]]
    np.testing.assert_array_equal(
        result.metrics["count"][:, 0], [[np.nan, np.nan], [np.nan, np.nan], [10, np.nan], [10, 20]]
    )


def test_methods_that_train_elsewhere_are_tested_at_their_own_point():
    def final(build):
        trial = problem.make_trial(optimizer=lambda hp: build(hp["learning_rate"], hp["beta"]))
        points = [{"learning_rate": 0.1, "beta": 0.9}]
        return sweep(trial, points, seeds=2, steps=20, evaluate_every=20).metrics["test_loss"]

    # The same method in both forms, with the gradient ahead of theta and theta tested.
    np.testing.assert_allclose(final(mo.nesterov), final(mo.nesterov_lookahead), rtol=1e-4)
    assert not np.allclose(final(mo.nesterov), final(mo.heavy_ball), rtol=1e-3)


def test_a_second_sweep_of_a_trial_compiles_nothing():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(event) if "backend_compile" in event else None
    )
    trial = problem.make_trial()
    sweep(trial, POINTS, seeds=2, steps=10)
    assert compiled
    compiled.clear()
    sweep(trial, POINTS, seeds=2, steps=10)
    assert not compiled


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        ({"steps": 6.0}, "steps must be a whole number of at least 1, not 6.0"),
        ({"seeds": 0}, "seeds, as a count, must be a whole number of at least 1, not 0"),
        ({"seeds": True}, "seeds, as a count, .* not True"),
        ({"seeds": 2.0}, "seeds, as a count, .* not 2.0"),
        ({"seeds": []}, "one or more different whole numbers"),
        ({"seeds": [1, 1]}, "one or more different whole numbers"),
        ({"seeds": [0.2, 0.7]}, "each of seeds must be a whole number of at least 0, not 0.2"),
        ({"seeds": [0, -1]}, "each of seeds .* not -1"),
        ({"evaluate_every": 0}, "evaluate_every must be a whole number of at least 1"),
        ({"evaluate_every": 2.5}, "evaluate_every must be a whole number of at least 1, not 2.5"),
        ({"lanes_per_chunk": 0}, "lanes_per_chunk must be a whole number of at least 1"),
        ({"threads": 0}, "threads must be a whole number of at least 1"),
        ({"devices": []}, "devices must hold at least one device"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        sweep(TRIAL, POINTS, **options)


def test_a_missing_hyperparameter_is_named():
    with pytest.raises(KeyError, match=r"asks for hyperparameter 'beta'.*give only \['learning_rate'\]"):
        sweep(TRIAL, grid(learning_rate=[0.1]), seeds=1, steps=2)


def test_progress_tells_the_truth_and_can_stop():
    seen = []
    rows = [*POINTS, {"learning_rate": 3e38, "beta": 0.9}]
    result = sweep(TRIAL, rows, seeds=3, steps=30, evaluate_every=10, label="sgd", progress=seen.append)
    assert [(p.label, p.step, p.steps, p.runs) for p in seen] == [("sgd", s, 30, 21) for s in (10, 20, 30)]
    assert seen[-1].diverged == 3
    medians = np.sort(np.nan_to_num(result.metrics["test_accuracy"], nan=-1), axis=1)[:, 1].max(axis=1)
    assert seen[-1].best == pytest.approx(medians.max())
    assert medians[result.points.index({"method": "sgd", **seen[-1].best_point})] == medians.max()

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(TRIAL, POINTS, seeds=1, steps=10, progress=stop)
