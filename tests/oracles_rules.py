"""The rules at work in heavy ball, in NumPy float64, written from their papers or their authors' code.

Each maps (gradient_fn, x0, steps, learning_rate, ...) to the params [steps + 1, d] and the betas [steps, d]. `groups`
are the numbers of the coordinates that share a beta; all do by default.
"""

from collections.abc import Callable, Sequence

import numpy as np
from oracles import Hyper, array, at

Gradient = Callable[[np.ndarray], np.ndarray]
Groups = Sequence[Sequence[int]]


def _run(decide, gradient_fn, x0, steps, learning_rate: Hyper, groups: Groups | None, decay: float = 0.0):
    """`decide(part, t, g, velocity, step)` gives the beta of a part; `step` is what moved the params last."""
    x, velocity, step = array(x0), np.zeros_like(array(x0)), np.zeros_like(array(x0))
    params, betas = [x], []
    for t in range(steps):
        g, beta = gradient_fn(x), np.empty_like(x)
        for number, group in enumerate(groups or [range(len(x))]):
            i = list(group)
            beta[i] = decide(number, t, g[i], velocity[i], step[i])
        velocity = beta * velocity + g
        step = -at(learning_rate, t) * (velocity + decay * x)
        x = x + step
        params.append(x)
        betas.append(beta)
    return array(params), array(betas)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size else 0.0


def alignment(gradient_fn, x0, steps, learning_rate, low, high, decay, *, groups=None):
    """The smoothed cosine of Malviya et al. 2024, https://arxiv.org/abs/2412.18790, between two betas."""
    smoothed: dict[int, float] = {}

    def decide(part, t, g, velocity, step):
        smoothed[part] = decay * smoothed.get(part, 0.0) + (1 - decay) * _cosine(velocity, g)
        return low + (high - low) * (1 + smoothed[part]) / 2

    return _run(decide, gradient_fn, x0, steps, learning_rate, groups)


def hypergradient(gradient_fn, x0, steps, learning_rate, rate, start, low, high, *, groups=None, decay=0.0):
    """beta + rate lr <g_t, v_{t-2}>: Baydin et al. 2017, https://arxiv.org/abs/1703.04782, for beta instead of lr.

    The learning rate is that of the last step, the velocity the one that the last beta multiplied.
    """
    beta: dict[int, float] = {}
    before: dict[int, np.ndarray] = {}

    def decide(part, t, g, velocity, step):
        if part in before:
            slope = -at(learning_rate, t - 1) * before[part] @ g
            beta[part] = np.clip(beta[part] - rate * slope, low, high)
        before[part] = velocity
        return beta.setdefault(part, start)

    return _run(decide, gradient_fn, x0, steps, learning_rate, groups, decay)


def hypergradient_descent(gradient_fn, x0, steps, learning_rate, rate):
    """Baydin et al. 2017, algorithm 1 (SGD-HD): lr + rate <g_t, g_{t-1}>, without momentum."""
    x, before, rates = array(x0), np.zeros_like(array(x0)), []
    params = [x]
    for _ in range(steps):
        g = gradient_fn(x)
        learning_rate = learning_rate + rate * g @ before
        x, before = x - learning_rate * g, g
        params.append(x)
        rates.append(learning_rate)
    return array(params), array(rates)


def lipschitz_ratio(gradient_fn, x0, steps, learning_rate, delta, *, groups=None, decay=0.0):
    """Sun et al. 2021, https://arxiv.org/abs/2110.09057; 0 at the first update."""
    before: dict[int, np.ndarray] = {}

    def decide(part, t, g, velocity, step):
        beta = 0.0
        if part in before:
            ratio = np.linalg.norm(g - before[part]) / np.linalg.norm(step)
            beta = np.clip((1 - np.sqrt(at(learning_rate, t) * ratio)) ** 2, 0, 1 - delta)
        before[part] = g
        return beta

    return _run(decide, gradient_fn, x0, steps, learning_rate, groups, decay)


def cubic_root(p: float) -> float:
    """The x in [0, 1] with p x = (1 - x)^3, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if p * middle < (1 - middle) ** 3 else (low, middle)
    return low


def single_step(variance, distance, h_min, h_max) -> tuple[float, float]:
    """Zhang & Mitliagkas 2017, https://arxiv.org/abs/1706.03471: the momentum and the learning rate."""
    x = cubic_root(distance**2 * h_min**2 / (2 * variance))
    root = np.sqrt(h_max / h_min)
    mu = max(x**2, ((root - 1) / (root + 1)) ** 2)
    return mu, (1 - np.sqrt(mu)) ** 2 / h_min


def yellowfin(gradient_fn, x0, steps, learning_rate=1e-4, decay=0.999, width=20, eps=1e-6):
    """https://github.com/JianGoForIt/YellowFin_Pytorch, tuner_utils/yellowfin.py, without its clipping.

    Gives the params, the learning rates and the betas. As there: logarithms are averaged, what was found is used as it
    is, the learning rate starts slowly, eps is added wherever something may be 0; the first update has the initial
    learning rate and no momentum.
    """
    x, velocity = array(x0), np.zeros_like(array(x0))
    mean, window = np.zeros_like(x), []
    low = high = square = norm = distance = 0.0
    params, rates, betas = [x], [], []

    def average(old, new):
        return decay * old + (1 - decay) * new

    for t in range(steps):
        g = gradient_fn(x)
        window = [*window, g @ g][-width:]
        bias = 1 - decay ** (t + 1)
        low = average(low, np.log(min(window) + eps))
        high = average(high, np.log(max(window) + eps))
        square, norm, mean = average(square, g @ g), average(norm, np.sqrt(g @ g)), average(mean, g)
        distance = average(distance, norm / (square + eps))
        variance = max(square / bias - mean @ mean / bias**2, eps)
        h_min, h_max = np.exp(low / bias), np.exp(high / bias)
        mu, rate = single_step(variance + eps, distance / bias + eps, h_min + eps, h_max + eps)
        rate = min(rate, rate * (t + 1) / (10 * width))
        if t == 0:
            mu, rate = 0.0, learning_rate
        velocity = mu * velocity + g
        x = x - rate * velocity
        params.append(x)
        rates.append(rate)
        betas.append(mu)
    return array(params), array(rates), array(betas)
