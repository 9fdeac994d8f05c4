"""Restarted methods in NumPy float64, written from their papers, with two points x and y as there."""

import numpy as np


def fista_betas(steps: int) -> np.ndarray:
    """(t_k - 1) / t_{k+1} at k >= 1 with t_1 = 1, and 0 at 0: Beck & Teboulle 2009, FISTA, Eq. 4.2 and 4.3."""
    t, betas = 1.0, [0.0]
    for _ in range(steps):
        following = (1 + np.sqrt(1 + 4 * t * t)) / 2
        betas.append((t - 1) / following)
        t = following
    return np.array(betas)


def su_betas(steps: int) -> np.ndarray:
    """(k - 1) / (k + 2) at k >= 1, and 0 at 0: Su, Boyd & Candes 2016, https://jmlr.org/papers/v17/15-084.html."""
    k = np.arange(1.0, steps + 1)
    return np.concatenate([[0.0], (k - 1) / (k + 2)])


def restarted(gradient_fn, x0, steps: int, learning_rate: float, betas, rule, function=None):
    """O'Donoghue & Candes 2015, https://arxiv.org/abs/1204.3982, Section 3, with the point x as the new start.

    `rule(n, g, step, last_step, rose)` says whether to restart after update n; g is taken at y, the step is that of x.
    `function` is compared at the points y, where a training step has it. Returns the x, the y, and where it restarted.
    """
    x = y = np.array(x0, np.float64)
    k, last_step, last_value, restarts = 0, np.zeros_like(x), np.inf, []
    xs, ys = [x], [y]
    for n in range(1, steps + 1):
        g = gradient_fn(y)
        new = y - learning_rate * g
        step, value = new - x, function(y) if function else 0.0
        k += 1
        y = new + betas[k] * step
        if rule(n, g, step, last_step, value > last_value):
            y, k = new, 0
            restarts.append(n)
        x, last_step, last_value = new, step, value
        xs.append(x)
        ys.append(y)
    return np.array(xs), np.array(ys), restarts


def srsgd(gradient_fn, x0, steps: int, learning_rate: float, period: int):
    """Wang et al. 2020, https://arxiv.org/abs/2002.10583, as in github.com/minhtannguyen/SRSGD, optimizers/srsgd.py.

    There the counter goes 1, 2, ..., restarting_iter - 1, 1, ..., so that the period is restarting_iter - 1.
    """
    p = buffer = np.array(x0, np.float64)
    counter, out = 1, [p]
    for _ in range(steps):
        momentum = (counter - 1.0) / (counter + 2.0)
        following = p - learning_rate * gradient_fn(p)
        p = following + momentum * (following - buffer)
        buffer = following
        counter = 1 if counter + 1 >= period + 1 else counter + 1
        out.append(p)
    return np.array(out)
