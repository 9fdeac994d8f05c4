"""Adan, LaProp, AdEMAMix, Adai and their relatives in NumPy float64, written from their papers or their authors' code.

As in `oracles`: an optimizer maps (gradient_fn, x0, steps, ...) to the params [steps + 1, d], a hyperparameter is a
number or a function of the count. Averages are debiased by the products of their betas.
"""

import numpy as np
from oracles import Gradient, Hyper, array, at


class Average:
    """An exponential average and the product of its betas."""

    def __init__(self, shape):
        self.value, self.product = np.zeros(shape), 1.0

    def add(self, x, beta):
        self.value, self.product = beta * self.value + (1 - beta) * x, self.product * beta
        return self.value

    @property
    def hat(self):
        return self.value / (1 - self.product)


def adan(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, b1: Hyper, b2: Hyper, b3: Hyper,
    eps: Hyper = 1e-8, eps_root: Hyper = 0.0, weight_decay: Hyper = 0.0,
) -> np.ndarray:  # fmt: skip
    """Xie et al. 2022, https://arxiv.org/abs/2208.06677, algorithm 1, and sail-sg/Adan, adan.py, without no_prox.

    The paper's betas are 1 - b. Its v starts with g_1 - g_0 at step 2, the code's with 0 at step 1: the code.
    """
    xs, before = [array(x0)], None
    m, v, n = (Average(xs[0].shape) for _ in range(3))
    for t in range(steps):
        g, lr, beta2 = gradient_fn(xs[-1]), at(learning_rate, t), 1 - at(b2, t)
        change = np.zeros_like(g) if before is None else g - before
        m.add(g, at(b1, t))
        v.add(change, 1 - beta2)
        n.add((g + (1 - beta2) * change) ** 2, at(b3, t))
        rate = lr / (np.sqrt(n.hat + at(eps_root, t)) + at(eps, t))
        xs.append((xs[-1] - rate * (m.hat + (1 - beta2) * v.hat)) / (1 + at(weight_decay, t) * lr))
        before = g
    return array(xs)


def laprop(gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, b1: Hyper, b2: Hyper, eps: Hyper) -> np.ndarray:
    """Ziyin et al. 2020, https://arxiv.org/abs/2002.04839, algorithm 1."""
    xs = [array(x0)]
    m, n = Average(xs[0].shape), Average(xs[0].shape)
    for t in range(steps):
        g = gradient_fn(xs[-1])
        n.add(g**2, at(b2, t))
        m.add(g / (np.sqrt(n.hat) + at(eps, t)), at(b1, t))
        xs.append(xs[-1] - at(learning_rate, t) * m.hat)
    return array(xs)


def ademamix(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, b1: Hyper, b2: Hyper, b3: Hyper, alpha: Hyper,
    eps: Hyper = 1e-8, weight_decay: Hyper = 0.0,
) -> np.ndarray:  # fmt: skip
    """Pagliardini et al. 2024, https://arxiv.org/abs/2409.03137, algorithm 1, and apple/ml-ademamix."""
    xs = [array(x0)]
    fast, slow, nu = (Average(xs[0].shape) for _ in range(3))
    for t in range(steps):
        g = gradient_fn(xs[-1])
        fast.add(g, at(b1, t))
        slow.add(g, at(b3, t))
        nu.add(g**2, at(b2, t))
        step = (fast.hat + at(alpha, t) * slow.value) / (np.sqrt(nu.hat) + at(eps, t))
        xs.append(xs[-1] - at(learning_rate, t) * (step + at(weight_decay, t) * xs[-1]))
    return array(xs)


def ademamix_alpha(t: int, alpha_end: float, warmup: float) -> float:
    """apple/ml-ademamix, pytorch/ademamix.py, `linear_warmup_scheduler`; t = 1 is the first step."""
    return t / warmup * alpha_end if t < warmup else alpha_end


def ademamix_b3(t: int, beta_end: float, beta_start: float, warmup: float) -> float:
    """The same file, `linear_hl_warmup_scheduler`, without the 1e-8 that it adds to beta in its logarithm."""

    def life(beta):
        return np.log(0.5) / np.log(beta) - 1

    a = t / warmup
    return 0.5 ** (1 / ((1 - a) * life(beta_start) + a * life(beta_end) + 1)) if t < warmup else beta_end


def simplified_ademamix(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, b1: Hyper, b2: Hyper, alpha: Hyper,
    eps: Hyper = 1e-8, weight_decay: Hyper = 0.0,
) -> np.ndarray:  # fmt: skip
    """Morwani et al. 2025, https://arxiv.org/abs/2502.02431, and DepenM/Simplified-AdEMAMix, its defaults."""
    xs, m = [array(x0)], 0.0
    nu = Average(xs[0].shape)
    for t in range(steps):
        g = gradient_fn(xs[-1])
        m = at(b1, t) * m + g
        nu.add(g**2, at(b2, t))
        # The code has the root of the weight on both sides of the line.
        root = np.sqrt(1 - nu.product)
        step = (at(alpha, t) * g + m) / (np.sqrt(nu.value) + at(eps, t) * root) * root
        xs.append(xs[-1] - at(learning_rate, t) * (step + at(weight_decay, t) * xs[-1]))
    return array(xs)


def adai(gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, b0: Hyper, b2: Hyper, eps: Hyper) -> np.ndarray:
    """Xie et al. 2020, https://arxiv.org/abs/2006.15815, and zeke-xie/adaptive-inertia-adai, adai.py."""
    xs = [array(x0)]
    m, product, v = np.zeros_like(xs[0]), np.ones_like(xs[0]), Average(xs[0].shape)
    for t in range(steps):
        g = gradient_fn(xs[-1])
        v.add(g**2, at(b2, t))
        beta1 = np.clip(1 - v.hat / np.mean(v.hat) * at(b0, t), 0, 1 - at(eps, t))
        product = product * beta1
        m = m * beta1 + (1 - beta1) * g
        xs.append(xs[-1] - at(learning_rate, t) * m / (1 - product))
    return array(xs)


def ema_nesterov(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, momentum: Hyper, beta: Hyper, gamma: Hyper
) -> tuple[np.ndarray, np.ndarray]:
    """Yau et al. 2026, https://arxiv.org/abs/2605.25395, algorithm 1, around heavy ball.

    x_{t+1} = A_t(x_t + beta_t m_t); m_{t+1} = gamma m_t + (1 - gamma)(x_{t+1} - x_t). Returns the x and the points of
    the gradients, both [steps + 1, d].
    """
    x, m, velocity, xs, points = array(x0), np.zeros_like(array(x0)), 0.0, [], []
    for t in range(steps + 1):
        point = x + at(beta, t) * m
        xs.append(x)
        points.append(point)
        velocity = at(momentum, t) * velocity + gradient_fn(point)
        after = point - at(learning_rate, t) * velocity
        m = at(gamma, t) * m + (1 - at(gamma, t)) * (after - x)
        x = after
    return array(xs), array(points)
