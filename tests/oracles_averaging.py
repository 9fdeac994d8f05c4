"""Averaging and variance reduction in NumPy float64, written from their papers and authors' code; see `oracles`.

Batch t (t = 0, 1, ...) has a gradient function of its own where a method takes two gradients of it.
"""

from collections.abc import Callable

import numpy as np
from oracles import Gradient, Hyper, array, at

BatchGradient = Callable[[int, np.ndarray], np.ndarray]


def schedule_free(
    step: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    gradient_fn: Gradient,
    x0,
    steps: int,
    learning_rate: Hyper,
    b1: Hyper,
    weight_lr_power: float = 2.0,
    r: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Defazio et al. 2024, https://arxiv.org/abs/2405.15682; *_reference.py of facebookresearch/schedule_free.

    `step(g, y, count)` is what the inner optimizer adds to z. Returns y, x and z [steps + 1, d]. The code is of
    constant b1; a schedule gives that of the gradient at y. As in the code, an average of nothing stays where it is.
    """
    z = x = y = array(x0)
    lr_max = weight_sum = 0.0
    rows = [(y, x, z)]
    for k in range(steps):
        lr_max = np.maximum(lr_max, at(learning_rate, k))
        weight = (k + 1) ** r * lr_max**weight_lr_power
        weight_sum = weight_sum + weight
        ckp1 = np.divide(weight, weight_sum, out=np.zeros_like(weight), where=weight_sum != 0)
        z = z + step(gradient_fn(y), y, k)
        x = (1 - ckp1) * x + ckp1 * z
        beta = at(b1, k + 1)
        y = beta * x + (1 - beta) * z
        rows.append((y, x, z))
    ys, xs, zs = (array(column) for column in zip(*rows, strict=True))
    return ys, xs, zs


def warmed_up(learning_rate: float, warmup_steps: int) -> Hyper:
    """The `sched` of the authors' code, where k starts at 0."""
    return lambda k: learning_rate * ((k + 1) / warmup_steps if k < warmup_steps else 1.0)


def sgd_step(learning_rate: Hyper, weight_decay: float = 0.0):
    """sgd_schedulefree_reference.py."""
    return lambda g, y, k: -at(learning_rate, k) * (g + weight_decay * y)


def adamw_step(learning_rate: Hyper, b2: Hyper, eps: Hyper, weight_decay: float = 0.0):
    """adamw_schedulefree_reference.py, `decay_at_z` false."""
    v, product = 0.0, 1.0

    def step(g, y, k):
        nonlocal v, product
        beta2 = at(b2, k)
        v, product = beta2 * v + (1 - beta2) * g * g, product * beta2
        denom = np.sqrt(v / (1 - product)) + at(eps, k)
        return -at(learning_rate, k) * (g / denom + weight_decay * y)

    return step


def storm(gradient_fn: BatchGradient, x0, steps: int, learning_rate: Hyper, a: Hyper) -> np.ndarray:
    """Cutkosky and Orabona 2019, https://arxiv.org/abs/1905.10018, line d_{t+1} = ... of algorithm 1."""
    xs, d = [array(x0)], None
    for t in range(steps):
        x = xs[-1]
        g = gradient_fn(t, x)
        d = g if d is None else g + (1 - at(a, t)) * (d - gradient_fn(t, xs[-2]))
        xs.append(x - at(learning_rate, t) * d)
    return array(xs)


def adaptive_storm(gradient_fn: BatchGradient, x0, steps: int, k: Hyper, w: Hyper, c: Hyper) -> np.ndarray:
    """The whole of algorithm 1; `a` is limited to 1, which the conditions of its theorem imply."""
    xs, d, total, eta = [array(x0)], None, 0.0, 0.0
    for t in range(steps):
        x = xs[-1]
        g = gradient_fn(t, x)
        total = total + g @ g
        a = min(1.0, at(c, t) * eta**2)
        d = g if d is None else g + (1 - a) * (d - gradient_fn(t, xs[-2]))
        eta = at(k, t) / (at(w, t) + total) ** (1 / 3)
        xs.append(x - eta * d)
    return array(xs)


def mars(
    gradient_fn: BatchGradient,
    x0,
    steps: int,
    learning_rate: Hyper,
    b1: Hyper,
    b2: Hyper,
    eps: Hyper,
    gamma: Hyper,
    *,
    approximate: bool = False,
    leaves=(slice(0, 3), slice(3, 5)),
    kind: str = "adamw",
    weight_decay: float = 0.0,
) -> np.ndarray:
    """Yuan et al. 2024, https://arxiv.org/abs/2411.10438, algorithms 1, 2 and 4; mars.py of github.com/AGI-Arena/MARS.

    The norm is limited leaf by leaf, as in the code. x_0 = x_1, as in the paper.
    """
    xs, m, v, before, p1, p2 = [array(x0)], 0.0, 0.0, None, 1.0, 1.0
    for t in range(steps):
        x = xs[-1]
        beta1, beta2 = at(b1, t), at(b2, t)
        g = gradient_fn(t, x)
        last = g if before is None else (before if approximate else gradient_fn(t, xs[-2]))
        c = g + at(gamma, t) * beta1 / (1 - beta1) * (g - last)
        for leaf in leaves:
            norm = np.linalg.norm(c[leaf])
            if norm > 1:
                c[leaf] = c[leaf] / norm
        m, v = beta1 * m + (1 - beta1) * c, beta2 * v + (1 - beta2) * c * c
        p1, p2 = p1 * beta1, p2 * beta2
        direction = np.sign(m) if kind == "lion" else (m / (1 - p1)) / (np.sqrt(v / (1 - p2)) + at(eps, t))
        xs.append(x - at(learning_rate, t) * (direction + weight_decay * x))
        before = g
    return array(xs)


def nigt(gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, beta: Hyper) -> tuple[np.ndarray, np.ndarray]:
    """Cutkosky and Mehta 2020, https://arxiv.org/abs/2002.03305, algorithm 1: the points ahead, and the iterates.

    A schedule gives the beta of the gradient at the point ahead.
    """
    w_before = w = array(x0)
    m, ahead, answers = None, [], []
    for t in range(steps + 1):
        b = at(beta, t)
        x = w + b / (1 - b) * (w - w_before)
        ahead.append(x)
        answers.append(w)
        g = gradient_fn(x)
        m = g if m is None else b * m + (1 - b) * g
        w_before, w = w, w - at(learning_rate, t) * m / np.linalg.norm(m)
    return array(ahead), array(answers)
