"""Adam's kin in NumPy float64, written from their papers or their authors' code.

Each maps (gradient_fn, x0, steps, ...) to the params [steps + 1, d], of which the first is x0. A hyperparameter is a
number or a function of the count, which may give a number for each coordinate. (`oracles.adam` is Adam itself.)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from oracles import Gradient, Hyper, array, at


def _descend(
    direction: Callable[[int, np.ndarray], Any], gradient_fn: Gradient, x0, steps: int, lr: Hyper, decay: Hyper = 0.0
) -> np.ndarray:
    xs = [array(x0)]
    for count in range(steps):
        u = direction(count, gradient_fn(xs[-1]))
        xs.append(xs[-1] - at(lr, count) * (u + at(decay, count) * xs[-1]))
    return array(xs)


def adamw(
    gradient_fn, x0, steps, learning_rate, b1, b2, eps, weight_decay, *, eps_root=0.0, nesterov=False
) -> np.ndarray:
    """Loshchilov & Hutter 2017, https://arxiv.org/abs/1711.05101, algorithm 2, with the decay times the learning rate.

    Nesterov: Dozat 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ, without its factor on n_t.
    """
    m, v, product, product2 = 0.0, 0.0, 1.0, 1.0

    def direction(count, g):
        nonlocal m, v, product, product2
        mu, next_mu, b = at(b1, count), at(b1, count + 1), at(b2, count)
        m, v = mu * m + (1 - mu) * g, b * v + (1 - b) * g**2
        product, product2 = product * mu, product2 * b
        m_hat = m / (1 - product)
        if nesterov:
            m_hat = next_mu * m / (1 - product * next_mu) + (1 - mu) * g / (1 - product)
        return m_hat / (np.sqrt(v / (1 - product2) + at(eps_root, count)) + at(eps, count))

    return _descend(direction, gradient_fn, x0, steps, learning_rate, weight_decay)


def amsgrad(
    gradient_fn, x0, steps, learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, *, debias_mu=True, debias_nu=True
) -> np.ndarray:  # fmt: skip
    """Reddi, Kale & Kumar 2018, https://arxiv.org/abs/1904.09237, algorithm 2; that has no bias corrections."""
    m, v, largest, product, product2 = 0.0, 0.0, 0.0, 1.0, 1.0

    def direction(count, g):
        nonlocal m, v, largest, product, product2
        m, v = at(b1, count) * m + (1 - at(b1, count)) * g, at(b2, count) * v + (1 - at(b2, count)) * g**2
        product, product2 = product * at(b1, count), product2 * at(b2, count)
        largest = np.maximum(largest, v / (1 - product2) if debias_nu else v)
        m_hat = m / (1 - product) if debias_mu else m
        return m_hat / (np.sqrt(largest + at(eps_root, count)) + at(eps, count))

    return _descend(direction, gradient_fn, x0, steps, learning_rate)


def adabelief(
    gradient_fn, x0, steps, learning_rate, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, *, nesterov=False
) -> np.ndarray:  # fmt: skip
    """Zhuang et al. 2020, https://arxiv.org/abs/2010.07468, algorithm 2; AdaBelief.py of juntang-zhuang.

    There `exp_avg_var.add_(eps)` works in place: the second moment remembers it.
    """
    m, s, product, product2 = 0.0, 0.0, 1.0, 1.0

    def direction(count, g):
        nonlocal m, s, product, product2
        b, next_b = at(b1, count), at(b1, count + 1)
        m = b * m + (1 - b) * g
        s = at(b2, count) * s + (1 - at(b2, count)) * (g - m) ** 2 + at(eps_root, count)
        product, product2 = product * b, product2 * at(b2, count)
        m_hat = m / (1 - product)
        if nesterov:
            m_hat = next_b * m / (1 - product * next_b) + (1 - b) * g / (1 - product)
        return m_hat / (np.sqrt(s / (1 - product2)) + at(eps, count))

    return _descend(direction, gradient_fn, x0, steps, learning_rate)


def yogi(
    gradient_fn, x0, steps, learning_rate, b1=0.9, b2=0.999, eps=1e-3, *, eps_root=0.0, initial=1e-6
) -> np.ndarray:
    """Zaheer et al. 2018, Adaptive methods for nonconvex optimization, NeurIPS, algorithm 2.

    Both memories start at `initial`, and both are debiased, as in optax.yogi and torch_optimizer/yogi.py.
    """
    m, v, product, product2 = np.full_like(array(x0), initial), np.full_like(array(x0), initial), 1.0, 1.0

    def direction(count, g):
        nonlocal m, v, product, product2
        m = at(b1, count) * m + (1 - at(b1, count)) * g
        v = v - (1 - at(b2, count)) * np.sign(v - g**2) * g**2
        product, product2 = product * at(b1, count), product2 * at(b2, count)
        return m / (1 - product) / (np.sqrt(v / (1 - product2) + at(eps_root, count)) + at(eps, count))

    return _descend(direction, gradient_fn, x0, steps, learning_rate)


def qhadam(
    gradient_fn, x0, steps, learning_rate, b1=0.995, b2=0.999, nu1=0.7, nu2=1.0, eps=1e-8, eps_root=0.0
) -> np.ndarray:
    """Ma & Yarats 2018, https://arxiv.org/abs/1810.06801; qhoptim/pyt/qhadam.py, whose averages need no debiasing."""
    m, v, weight1, weight2 = 0.0, 0.0, 0.0, 0.0

    def direction(count, g):
        nonlocal m, v, weight1, weight2
        # As there for constants; under a schedule a new gradient weighs 1 - beta, not 1.
        weight1 = at(b1, count) * weight1 + (1 - at(b1, count))
        weight2 = at(b2, count) * weight2 + (1 - at(b2, count))
        new1, new2 = (1 - at(b1, count)) / weight1, (1 - at(b2, count)) / weight2
        m, v = (1 - new1) * m + new1 * g, (1 - new2) * v + new2 * g**2
        nu, nu_2 = at(nu1, count), at(nu2, count)
        size = np.sqrt((1 - nu_2) * g**2 + nu_2 * v + at(eps_root, count)) + at(eps, count)
        return ((1 - nu) * g + nu * m) / size

    return _descend(direction, gradient_fn, x0, steps, learning_rate)
