"""The three optimizers of example 14 against what their parts' papers say, written once more in NumPy."""

import itertools

import numpy as np
import pytest
from helpers import START, assert_close, curved, descend
from test_examples import load

STEPS, RATE, BETA = 20, 0.2, 0.97
LEAVES = (slice(0, 3), slice(3, 5))  # those of `helpers.split`


def gradient(x):
    """So small that the smooth sign is not at its ends."""
    return 1e-3 * curved(x)


def debiased_averages(betas):
    """A function of the gradients, one after the other: the debiased average for each beta."""
    velocities = [np.zeros_like(START) for _ in betas]

    def averages(t, g):
        velocities[:] = [b * v + (1 - b) * g for b, v in zip(betas, velocities, strict=True)]
        return [v / (1 - b ** (t + 1)) for b, v in zip(betas, velocities, strict=True)]

    return averages


def cautious_bank():
    """The mean of three averages over Yogi's second moment (Zaheer et al.), masked leaf by leaf (Liang et al.)."""
    x, second_moment, averages = START, np.full_like(START, 1e-6), debiased_averages((0.5, 0.9, BETA))
    for t in itertools.count():
        yield x
        g = gradient(x)
        second_moment = second_moment - 0.01 * np.sign(second_moment - g**2) * g**2
        size = np.sqrt(second_moment / (1 - 0.99 ** (t + 1))) + 1e-3
        update = -RATE * np.mean(averages(t, g), axis=0) / size
        mask = (-update * g > 0).astype(float)
        share = np.concatenate([np.full(mask[leaf].shape, max(mask[leaf].mean(), 1e-3)) for leaf in LEAVES])
        x = x + update * mask / share


def soft_sign_pnm():
    """The tanh of positive-negative momentum (Xie et al.), whose averages take turns."""
    x, now, other = START, np.zeros_like(START), np.zeros_like(START)
    while True:
        yield x
        now = BETA**2 * now + (1 - BETA**2) * gradient(x)
        x = x - RATE * np.tanh((2 * now - other) / np.sqrt(5) / 0.001)
        now, other = other, now


def belief_mix():
    """Two averages over AdaBelief's deviation (Zhuang et al.), trained ahead of the average way (Yau et al.)."""
    theta, mean, second_moment, way = START, np.zeros_like(START), np.zeros_like(START), np.zeros_like(START)
    averages = debiased_averages((0.9, BETA))
    for t in itertools.count():
        x = theta + 0.5 * way
        yield x
        g = gradient(x)
        mean = 0.9 * mean + 0.1 * g
        second_moment = 0.99 * second_moment + 0.01 * (g - mean) ** 2 + 1e-16
        quick, slow = averages(t, g)
        following = x - RATE * (quick + 2 * slow) / (np.sqrt(second_moment / (1 - 0.99 ** (t + 1))) + 1e-6)
        way = 0.99 * way + 0.01 * (following - theta)
        theta = following


@pytest.mark.parametrize("reference", [cautious_bank, soft_sign_pnm, belief_mix], ids=lambda f: f.__name__)
@pytest.mark.parametrize("traced", [False, True])
def test_the_composed_optimizer_is_what_its_parts_say(reference, traced):
    build = load("14_three_new_optimizers").COMPOSED[reference.__name__]
    found = descend(build, {"learning_rate": RATE, "beta": BETA}, gradient, steps=STEPS, traced=traced).params
    assert_close(found, np.stack(list(itertools.islice(reference(), STEPS + 1))), 1e-12)


def test_the_references_are_all_of_them_and_differ_where_their_parts_do():
    references = {f.__name__: f for f in (cautious_bank, soft_sign_pnm, belief_mix)}
    assert set(load("14_three_new_optimizers").COMPOSED) == set(references)
    steps = {name: np.diff(np.stack(list(itertools.islice(f(), STEPS))), axis=0) for name, f in references.items()}
    assert np.any(steps["cautious_bank"] == 0)  # masked
    assert np.min(np.abs(steps["soft_sign_pnm"])) < 0.9 * RATE < np.max(np.abs(steps["soft_sign_pnm"]))
