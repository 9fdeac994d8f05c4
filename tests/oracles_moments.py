"""What is divided by, and methods of quotients, in NumPy float64, written from their papers and their authors' code.

A size maps gradients [T, ...] to sizes [T, ...]; an optimizer (gradient_fn, x0, steps) to the params [steps + 1, d].
"""

import numpy as np
from oracles import Hyper, array, at


def weights(b: Hyper, t: int) -> np.ndarray:
    """The weights of the first t gradients in their moving average, of which they are (1 - b_s) b_{s+1} ... b_t."""
    betas = array([at(b, count) for count in range(t)])
    return array([(1 - betas[s]) * np.prod(betas[s + 1 :], 0) for s in range(t)])


def total(w, values) -> np.ndarray:
    """The weighted sum."""
    return np.sum([a * x for a, x in zip(w, values, strict=True)], 0)


def raw(squares, b: Hyper) -> np.ndarray:
    """Moving averages that start at 0."""
    return array([total(weights(b, t), squares[:t]) for t in range(1, len(squares) + 1)])


def bias(b: Hyper, t: int, shape=()) -> np.ndarray:
    """1 minus the products of the betas up to each of the first t updates, with further axes of size 1."""
    return array([1 - np.prod([at(b, count) for count in range(s + 1)], 0) for s in range(t)]).reshape(t, *shape)


def root_maximum(gradients, b2: Hyper, eps=0.0, eps_root=0.0, *, debias=True, raw_maximum=False) -> np.ndarray:
    """Reddi et al. 2018, https://arxiv.org/abs/1904.09237, Algorithm 2 (debias=False).

    Debiased before the maximum as in optax._src.transform.scale_by_amsgrad, after it as in torch.optim.Adam(amsgrad).
    """
    g = array(gradients)
    moment, correction = raw(g**2, b2), bias(b2, len(g), (1,) * (g.ndim - 1))
    if debias and not raw_maximum:
        moment = moment / correction
    moment = np.maximum.accumulate(moment, 0)
    if debias and raw_maximum:
        moment = moment / correction
    return np.sqrt(moment + eps_root) + eps


def root_yogi(gradients, b2: Hyper, eps=0.0, eps_root=0.0, *, initial=1e-6, debias=True) -> np.ndarray:
    """Zaheer et al. 2018, Algorithm 2 (debias=False); the bias correction of optax._src.transform.scale_by_yogi."""
    g = array(gradients)
    moment, out = np.full_like(g[0], initial), []
    for t, square in enumerate(g**2):
        moment = moment - (1 - at(b2, t)) * np.sign(moment - square) * square
        out.append(moment)
    corrected = array(out) / (bias(b2, len(g), (1,) * (g.ndim - 1)) if debias else 1)
    return np.sqrt(corrected + eps_root) + eps


def root_deviation(gradients, b1: Hyper, b2: Hyper, eps=0.0, eps_root=0.0, *, debias=True) -> np.ndarray:
    """Zhuang et al. 2020, https://arxiv.org/abs/2010.07468, Algorithm 2."""
    g = array(gradients)
    moment, out = np.zeros_like(g[0]), []
    for t, square in enumerate((g - raw(g, b1)) ** 2):
        moment = at(b2, t) * moment + (1 - at(b2, t)) * square + at(eps_root, t)
        out.append(moment)
    return np.sqrt(array(out) / (bias(b2, len(g), (1,) * (g.ndim - 1)) if debias else 1)) + eps


def root_variance(gradients, b2: Hyper, eps=0.0, eps_root=0.0, *, debias=True, initial=0.0) -> np.ndarray:
    """Graves 2013, https://arxiv.org/abs/1308.0850, equations 38 to 40; as sums about the mean, which do not cancel."""
    g, out = array(gradients), []
    for t in range(1, len(g) + 1):
        w = weights(b2, t)
        whole, past = w.sum(0), np.prod([at(b2, count) for count in range(t)], 0)
        center = total(w, g[:t]) / whole
        spread = total(w, (g[:t] - center) ** 2) + past * initial
        # The mean of squares is that about the mean, and the mean squared; the raw mean is whole * center.
        out.append(spread / whole if debias else spread + whole * (1 - whole) * center**2)
    return np.sqrt(array(out) + eps_root) + eps


def root_factored(gradients, b2: Hyper, eps_root=0.0, *, debias=True) -> np.ndarray:
    """Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235, Algorithm 4: sums of rows and columns."""
    squares = array(gradients) ** 2 + eps_root
    rows, columns = raw(squares.sum(-1), b2), raw(squares.sum(-2), b2)
    product = rows[..., :, None] * columns[..., None, :] / rows.sum(-1)[..., None, None]
    return np.sqrt(product / (bias(b2, len(squares), (1,) * (squares.ndim - 1)) if debias else 1))


def cube_root_sum(gradients, scale: Hyper, eps=0.0) -> np.ndarray:
    """Defazio and Jelassi 2021, https://arxiv.org/abs/2101.11075, the matrix A of Algorithm 1."""
    scales = array([at(scale, count) for count in range(len(gradients))])
    return np.cbrt(np.cumsum(scales.reshape(-1, 1) * array(gradients) ** 2, 0)) + eps


def _run(direction, gradient_fn, x0, steps):
    """Params from the way of each step, given all gradients so far and the params."""
    xs, gradients = [array(x0)], []
    for count in range(steps):
        gradients.append(gradient_fn(xs[-1]))
        xs.append(xs[-1] + direction(count, array(gradients), xs))
    return array(xs)


def rmsprop(
    gradient_fn, x0, steps, learning_rate: Hyper, decay: Hyper, eps: Hyper, momentum: Hyper = 0.0, *, centered=False,
    eps_in_sqrt=True, initial_scale=0.0, bias_correction=False,
) -> np.ndarray:  # fmt: skip
    """Hinton 2012, Graves 2013; the learning rate inside the velocity as in optax.rmsprop and keras."""
    velocity = np.zeros_like(array(x0))

    def direction(count, g, xs):
        nonlocal velocity
        inside, outside = (at(eps, count), 0.0) if eps_in_sqrt else (0.0, at(eps, count))
        if centered:
            size = root_variance(g, decay, outside, inside, debias=bias_correction, initial=initial_scale)[-1]
        else:
            past = np.prod([at(decay, c) for c in range(count + 1)], 0)
            square = total(weights(decay, count + 1), g**2) + past * initial_scale
            size = np.sqrt(square / (1 - past if bias_correction else 1.0) + inside) + outside
        velocity = at(momentum, count) * velocity - at(learning_rate, count) * g[-1] / size
        return velocity

    return _run(direction, gradient_fn, x0, steps)


def madgrad(gradient_fn, x0, steps, learning_rate: Hyper, momentum: Hyper, eps: Hyper, weight_decay: Hyper = 0.0):
    """https://github.com/facebookresearch/madgrad, madgrad/madgrad.py, dense, as written there."""
    x, gradient_sum, squares = array(x0), np.zeros_like(array(x0)), np.zeros_like(array(x0))
    xs = [x]
    for k in range(steps):
        ck, small = 1 - at(momentum, k), at(eps, k)
        lamb = (at(learning_rate, k) + small) * np.sqrt(k + 1)
        g = gradient_fn(x) + at(weight_decay, k) * x
        squares = squares + lamb * g**2
        gradient_sum = gradient_sum + lamb * g
        z = array(x0) - gradient_sum / (np.cbrt(squares) + small)
        x = (1 - ck) * x + ck * z
        xs.append(x)
    return array(xs)


def msvag(gradient_fn, x0, steps, learning_rate: Hyper, beta: Hyper) -> np.ndarray:
    """Balles and Hennig 2018, https://arxiv.org/abs/1705.07774: rho is the sum of the squared weights of the average.

    For a constant beta it is (1 - beta)(1 + beta^t) / ((1 + beta)(1 - beta^t)), as in https://github.com/lballes/msvag.
    """

    def direction(count, g, xs):
        w = weights(beta, count + 1)
        w = w / w.sum(0)
        m, rho = total(w, g), (w**2).sum(0)
        estimate = total(w, (g - m) ** 2) / np.where(count == 0, 1.0, 1 - rho)
        return -at(learning_rate, count) * m**2 / (m**2 + rho * estimate) * m

    return _run(direction, gradient_fn, x0, steps)
