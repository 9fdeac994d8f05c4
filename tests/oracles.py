"""What each method does, in NumPy float64, written from its paper or its authors' code, not from ours.

A filter maps gradients [T, ...] to outputs [T, ...]; an optimizer maps (gradient_fn, x0, steps) to the params
[steps + 1, d], of which the first is x0. A hyperparameter is a number or a function of the count, which is 0
at the first update. Where a paper knows constants only, a schedule gives the value of the present update,
unless the docstring says otherwise. Where code is named, it was read; a paper alone is named as the origin.
"""

from collections.abc import Callable, Sequence

import numpy as np

Hyper = float | Callable[[int], float]
Gradient = Callable[[np.ndarray], np.ndarray]


def at(hyper: Hyper, count: int) -> np.float64:
    return np.float64(hyper(count) if callable(hyper) else hyper)


def array(x) -> np.ndarray:
    return np.array(x, np.float64)


# Filters.


def trace(gradients, beta: Hyper, *, nesterov: bool = False, dampening: Hyper = 0.0) -> np.ndarray:
    """Polyak 1964, Some methods of speeding up the convergence, https://doi.org/10.1016/0041-5553(64)90137-5.

    Nesterov: Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html, with the learning
    rate taken out and the params at theta + beta v: the output is the way from one such point to the next.
    """
    velocity, outputs = np.zeros_like(array(gradients[0])), []
    for count, g in enumerate(array(gradients)):
        fresh = (1 - at(dampening, count)) * g
        velocity = at(beta, count) * velocity + fresh
        outputs.append(fresh + at(beta, count + 1) * velocity if nesterov else velocity)
    return array(outputs)


def ema(gradients, beta: Hyper, *, debias: bool = True, nesterov: bool = False) -> np.ndarray:
    """Kingma & Ba 2014, Adam, https://arxiv.org/abs/1412.6980, without its denominator.

    As the sum that it is: g_s has the weight (1 - beta_s) beta_{s+1} ... beta_t, and debiasing makes the
    weights sum to 1. Nesterov: Dozat 2016, NAdam, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.
    """
    g, outputs = array(gradients), []
    for t in range(len(g)):
        betas = array([at(beta, count) for count in range(t + 2)])
        weights = array([(1 - betas[s]) * np.prod(betas[s + 1 : t + 1]) for s in range(t + 1)])
        bias, next_bias = (1 - np.prod(betas[: t + 1]), 1 - np.prod(betas)) if debias else (1.0, 1.0)
        average = np.tensordot(weights, g[: t + 1], 1)
        lookahead = betas[t + 1] * average / next_bias + (1 - betas[t]) * g[t] / bias
        outputs.append(lookahead if nesterov else average / bias)
    return array(outputs)


def difference(gradients) -> np.ndarray:
    """g_t - g_{t-1}, and 0 for the first, which has no predecessor."""
    g = array(gradients)
    return np.concatenate([np.zeros_like(g[:1]), g[1:] - g[:-1]])


def root_mean_square(gradients, b2: Hyper, eps: float, *, eps_root: float = 0.0, debias: bool = True) -> np.ndarray:
    """Kingma & Ba 2014, Adam, https://arxiv.org/abs/1412.6980, its denominator."""
    return np.sqrt(ema(array(gradients) ** 2, b2, debias=debias) + eps_root) + eps


# Optimizers of one velocity.


def heavy_ball(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, beta: Hyper, *, lr_in_velocity: bool = False
) -> np.ndarray:
    """Polyak 1964, Some methods of speeding up the convergence, https://doi.org/10.1016/0041-5553(64)90137-5.

    His x_{t+1} = x_t - lr g_t + beta (x_t - x_{t-1}) is, under a schedule, the learning rate in the velocity.
    """
    xs, velocity = [array(x0), array(x0)], 0.0
    for count in range(steps):
        g, lr = gradient_fn(xs[-1]), at(learning_rate, count)
        velocity = at(beta, count) * velocity + g
        inside = xs[-1] - lr * g + at(beta, count) * (xs[-1] - xs[-2])
        xs.append(inside if lr_in_velocity else xs[-1] - lr * velocity)
    return array(xs[1:])


def ema_momentum(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, beta: Hyper, *, debias: bool = False
) -> np.ndarray:
    """Kingma & Ba 2014, Adam, https://arxiv.org/abs/1412.6980, without its denominator."""
    xs, average, bias = [array(x0)], 0.0, 1.0
    for count in range(steps):
        average = at(beta, count) * average + (1 - at(beta, count)) * gradient_fn(xs[-1])
        bias *= at(beta, count)
        xs.append(xs[-1] - at(learning_rate, count) * average / (1 - bias if debias else 1.0))
    return array(xs)


def nesterov(gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, beta: Hyper) -> tuple[np.ndarray, np.ndarray]:
    """Nesterov 1983, A method of solving a convex programming problem, http://mi.mathnet.ru/dan46009.

    y_t = theta_t + beta_t (theta_t - theta_{t-1}); theta_{t+1} = y_t - lr_t g(y_t). Returns (theta, y), both
    [steps + 1, d].
    """
    thetas, ys = [array(x0)], [array(x0)]
    for count in range(steps):
        thetas.append(ys[-1] - at(learning_rate, count) * gradient_fn(ys[-1]))
        ys.append(thetas[-1] + at(beta, count + 1) * (thetas[-1] - thetas[-2]))
    return array(thetas), array(ys)


def nesterov_lookahead(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, beta: Hyper
) -> tuple[np.ndarray, np.ndarray]:
    """Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html: Nesterov's, with a velocity.

    v <- beta v - lr g(theta + beta v); theta <- theta + v. Returns (theta, lookahead), both [steps + 1, d].
    """
    theta, velocity, thetas, lookaheads = array(x0), 0.0, [], []
    for count in range(steps + 1):
        thetas.append(theta)
        lookaheads.append(theta + at(beta, count) * velocity)
        velocity = at(beta, count) * velocity - at(learning_rate, count) * gradient_fn(lookaheads[-1])
        theta = theta + velocity
    return array(thetas), array(lookaheads)


def torch_sgd(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, momentum: Hyper = 0.0, *,
    dampening: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """PyTorch 2.13.0, torch/optim/sgd.py, `_single_tensor_sgd`; https://github.com/pytorch/pytorch.

    The buffer is born, undampened, at the first update with a momentum other than 0, and rests while it is 0.
    Nesterov uses the present momentum twice, under a schedule too, and so is not Nesterov's method there.
    """
    xs, buffer = [array(x0)], None
    for count in range(steps):
        step, mu = gradient_fn(xs[-1]) + weight_decay * xs[-1], at(momentum, count)
        if mu != 0:
            buffer = step if buffer is None else mu * buffer + (1 - dampening) * step
            step = step + mu * buffer if nesterov else buffer
        xs.append(xs[-1] - at(learning_rate, count) * step)
    return array(xs)


def keras_sgd(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, momentum: Hyper = 0.0, *,
    nesterov: bool = False, weight_decay: float | None = None,
) -> np.ndarray:  # fmt: skip
    """Keras 3.15.1, keras/src/optimizers/sgd.py and base_optimizer.py; https://github.com/keras-team/keras.

    The velocity holds the learning rate, the weight decay (times the learning rate) stays out of it. Like
    torch's, the velocity rests while momentum is 0.
    """
    xs, velocity = [array(x0)], 0.0
    for count in range(steps):
        lr, mu, g = at(learning_rate, count), at(momentum, count), gradient_fn(xs[-1])
        step = -lr * g
        if mu != 0:
            velocity = mu * velocity - lr * g
            step = mu * velocity - lr * g if nesterov else velocity
        xs.append(xs[-1] - lr * (weight_decay or 0.0) * xs[-1] + step)
    return array(xs)


# Optimizers of several velocities, or of a velocity and the gradient.


def qhm(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, beta: Hyper = 0.999, nu: Hyper = 0.7
) -> np.ndarray:
    """Ma & Yarats 2018, Quasi-hyperbolic momentum, https://arxiv.org/abs/1810.06801; qhoptim/pyt/qhm.py."""
    xs, average = [array(x0)], 0.0
    for count in range(steps):
        g, nu_now = gradient_fn(xs[-1]), at(nu, count)
        average = at(beta, count) * average + (1 - at(beta, count)) * g
        xs.append(xs[-1] - at(learning_rate, count) * ((1 - nu_now) * g + nu_now * average))
    return array(xs)


def aggmo(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, betas: Sequence[Hyper] = (0.0, 0.9, 0.99)
) -> np.ndarray:
    """Lucas et al. 2018, Aggregated momentum, https://arxiv.org/abs/1804.00325; AggMo/src/aggmo.py."""
    xs, velocities = [array(x0)], [np.zeros_like(array(x0)) for _ in betas]
    for count in range(steps):
        g = gradient_fn(xs[-1])
        velocities = [at(beta, count) * v - g for beta, v in zip(betas, velocities, strict=True)]
        xs.append(xs[-1] + at(learning_rate, count) / len(betas) * sum(velocities))
    return array(xs)


def acc_sgd(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper,
    kappa: Hyper = 1000.0, xi: Hyper = 10.0, small_const: Hyper = 0.7,
) -> np.ndarray:  # fmt: skip
    """Kidambi et al. 2018, On the insufficiency of existing momentum, https://arxiv.org/abs/1803.05591.

    As in the authors' rahulkidambi/AccSGD/AccSGD.py; the run of long steps starts where the params start.
    """
    xs, long_run = [array(x0)], array(x0)
    for count in range(steps):
        g, lr = gradient_fn(xs[-1]), at(learning_rate, count)
        kappa_now, c = at(kappa, count), at(small_const, count)
        one_minus_a = c**2 * at(xi, count) / kappa_now
        long_step = xs[-1] - kappa_now * lr / c * g
        long_run = (1 - one_minus_a) * long_run + one_minus_a * long_step
        xs.append((c * (xs[-1] - lr * g) + one_minus_a * long_run) / (c + one_minus_a))
    return array(xs)


def pid(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, beta: Hyper = 0.9,
    integral: Hyper = 5.0, derivative: Hyper = 10.0,
) -> np.ndarray:  # fmt: skip
    """An et al. 2018, A PID controller approach, CVPR; the authors' tensorboy/PIDOptimizer/pid.py.

    That code forgets the first gradient, so that its second difference is g_2 - 0; here it is g_2 - g_1.
    """
    xs, total, change, previous = [array(x0)], 0.0, 0.0, None
    for count in range(steps):
        g, b = gradient_fn(xs[-1]), at(beta, count)
        total = b * total + g
        change = b * change + (1 - b) * (0.0 if previous is None else g - previous)
        previous = g
        update = g + at(integral, count) * total + at(derivative, count) * change
        xs.append(xs[-1] - at(learning_rate, count) * update)
    return array(xs)


def recht_pid(gradient_fn: Gradient, x0, steps: int, k_p: float, k_i: float, k_d: float) -> np.ndarray:
    """Recht 2018, The best things in life are model free, http://www.argmin.net/2018/04/19/pid/.

    The gains act on the position, not on the step: not `pid` but QHM in disguise, where beta of the
    derivative's filter is k_d / (k_d - k_p) (qhoptim/common/param_conv.py, `from_pid`).
    """
    xs, total, change, previous, beta = [array(x0)], 0.0, 0.0, 0.0, k_d / (k_d - k_p)
    for _ in range(steps):
        error = -gradient_fn(xs[-1])
        total = total + error
        change = beta * change + (1 - beta) * (error - previous)
        previous = error
        xs.append(xs[0] + k_p * error + k_i * total + k_d * change)
    return array(xs)


def pnm(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, beta: Hyper = 0.9, beta0: Hyper = 1.0
) -> np.ndarray:
    """Xie et al. 2021, Positive-negative momentum, https://arxiv.org/abs/2103.17182; pnm_optim/pnm.py.

    m_t = beta^2 m_{t-2} + (1 - beta^2) g_t, with m_0 = m_{-1} = 0.
    """
    xs, averages = [array(x0)], [np.zeros_like(array(x0)), np.zeros_like(array(x0))]
    for count in range(steps):
        squared, weight = at(beta, count) ** 2, at(beta0, count)
        averages.append(squared * averages[-2] + (1 - squared) * gradient_fn(xs[-1]))
        update = (1 + weight) * averages[-1] - weight * averages[-2]
        xs.append(xs[-1] - at(learning_rate, count) * update / np.hypot(1 + weight, weight))
    return array(xs)


def adam(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, b1: Hyper = 0.9, b2: Hyper = 0.999,
    eps: float = 1e-8, *, eps_root: float = 0.0, nesterov: bool = False,
) -> np.ndarray:  # fmt: skip
    """Kingma & Ba 2014, Adam, https://arxiv.org/abs/1412.6980: `divide(ema, by=root_mean_square)`.

    Nesterov: Dozat 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.
    """
    xs, m, v, product, product2 = [array(x0)], 0.0, 0.0, 1.0, 1.0
    for count in range(steps):
        g, b, next_b = gradient_fn(xs[-1]), at(b1, count), at(b1, count + 1)
        m, v = b * m + (1 - b) * g, at(b2, count) * v + (1 - at(b2, count)) * g**2
        product, product2 = product * b, product2 * at(b2, count)
        m_hat = m / (1 - product)
        if nesterov:
            m_hat = next_b * m / (1 - product * next_b) + (1 - b) * g / (1 - product)
        xs.append(xs[-1] - at(learning_rate, count) * m_hat / (np.sqrt(v / (1 - product2) + eps_root) + eps))
    return array(xs)
