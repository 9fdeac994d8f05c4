"""Methods of signs and of agreement, in NumPy float64, written from their papers or their authors' code.

Directions map gradients [T, ...] to outputs [T, ...]; wrappers are shown at work around heavy ball, as maps from
gradients and params to the updates. A hyperparameter is a number, or a function of the count, of a vector if need be.
"""

import numpy as np
from oracles import Hyper, array


def value(hyper: Hyper, count: int):
    return np.asarray(hyper(count) if callable(hyper) else hyper, np.float64)


def lion(gradients, b1: Hyper, b2: Hyper) -> np.ndarray:
    """Chen et al. 2023, https://arxiv.org/abs/2302.06675, Algorithm 2, as published: from the old velocity."""
    return np.sign(lion_before_the_sign(gradients, b1, b2))


def lion_before_the_sign(gradients, b1: Hyper, b2: Hyper) -> np.ndarray:
    velocity, out = np.zeros_like(gradients[0]), []
    for count, g in enumerate(gradients):
        recent, keep = value(b1, count), value(b2, count)
        out.append(recent * velocity + (1 - recent) * g)
        velocity = keep * velocity + (1 - keep) * g
    return np.array(out)


def signum(gradients, beta: Hyper) -> np.ndarray:
    """Bernstein et al. 2018, https://arxiv.org/abs/1802.04434, Algorithm 2."""
    velocity, out = np.zeros_like(array(gradients[0])), []
    for count, g in enumerate(array(gradients)):
        velocity = value(beta, count) * velocity + (1 - value(beta, count)) * g
        out.append(np.sign(velocity))
    return array(out)


def tiger(gradients, x0, learning_rate: Hyper, beta: Hyper, decay: float, kind: str) -> np.ndarray:
    """https://github.com/bojone/tiger, tiger.py, `_resource_apply`, for gradients that are not NaN.

    `kind` is what the name of the variable says there: "bias", "embeddings", or "kernel".
    """
    x, velocity, params = array(x0), np.zeros_like(array(x0)), [array(x0)]
    for count, g in enumerate(array(gradients)):
        lr = value(learning_rate, count)
        if kind == "bias":
            lr, d = lr * 0.5, 0.0
        elif kind == "embeddings":
            lr, d = lr * np.sqrt(np.mean(x**2, axis=-1, keepdims=True)), decay
        else:
            lr, d = lr * np.sqrt(np.mean(x**2)), decay
        b = value(beta, count)
        velocity = b * velocity + (1 - b) * g
        x = x - (np.sign(velocity) + d * x) * lr
        params.append(x)
    return array(params)


def cautious(update, gradient, eps: float) -> np.ndarray:
    """https://github.com/kyleliang919/C-Optim: `mask / mask.mean().clamp(min=1e-3)`; the update goes downhill."""
    mask = (-update * gradient > 0).astype(np.float64)
    return update * mask / max(mask.mean(), eps)


def cautious_weight_decay(update, params, decay) -> np.ndarray:
    """Chen et al. 2025, https://arxiv.org/abs/2510.12402, Algorithm 1, what the learning rate multiplies."""
    return update + decay * (update * params >= 0) * params


def torque_aware_momentum(gradients, beta: float, decay: float, eps: float) -> np.ndarray:
    """Malviya et al. 2024, https://arxiv.org/abs/2412.18790: the velocities."""
    velocity, s, out = np.zeros_like(gradients[0]), 0.0, []
    for g in gradients:
        size = np.linalg.norm(velocity) * np.linalg.norm(g)
        s = decay * s + (1 - decay) * (np.vdot(velocity, g) / size if size else 0.0)
        velocity = beta * velocity + (eps + (1 + s) / 2) * g
        out.append(velocity)
    return np.array(out)


def adamp_projection(params, gradient, update, delta: float) -> np.ndarray:
    """https://github.com/clovaai/AdamP, adamp/adamp.py, `_projection`, without eps; torch's layout, outputs first."""
    for view in (lambda x: x.reshape(len(x), -1), lambda x: x.reshape(1, -1)):
        g, p, u = view(gradient), view(params), view(update)
        cosine = np.abs(np.sum(g * p, 1)) / (np.linalg.norm(g, axis=1) * np.linalg.norm(p, axis=1))
        if cosine.max() < delta / np.sqrt(p.shape[1]):
            unit = p / np.linalg.norm(p, axis=1, keepdims=True)
            return (u - unit * np.sum(unit * u, 1, keepdims=True)).reshape(update.shape)
    return update


def orthograd(gradient, params) -> np.ndarray:
    """Prieto et al. 2025, https://arxiv.org/abs/2501.04697, and its code: projected, then as long as before."""
    w, g = params.ravel(), gradient.ravel()
    across = g - (w @ g) / (w @ w) * w
    return (across * np.linalg.norm(g) / np.linalg.norm(across)).reshape(gradient.shape)


def centralized(gradient) -> np.ndarray:
    """https://github.com/Yonghongwei/Gradient-Centralization, Centralization.py; torch's layout, outputs first."""
    return gradient - gradient.mean(axis=tuple(range(1, gradient.ndim)), keepdims=True)
