"""Muon and its relatives in NumPy float64, one matrix `w` of (outputs, inputs) used as `w @ x`, as in their papers.

The orthogonal factor is taken from the singular value decomposition: a polynomial is applied to singular values.
"""

import numpy as np
from oracles import Hyper, array, at

QUINTIC = ((3.4445, -4.7750, 2.0315),) * 5
# Amsel et al. 2025, https://arxiv.org/abs/2505.16932, algorithm 1, as printed.
_PRINTED = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
)
POLAR_EXPRESS = tuple((a / 1.01, b / 1.01**3, c / 1.01**5) for a, b, c in _PRINTED[:-1]) + _PRINTED[-1:]


def polar_factor(x):
    """`U V^H` of `U S V^H`: the nearest matrix with singular values of 1."""
    u, _, vh = np.linalg.svd(x, full_matrices=False)
    return u @ vh


def orthogonalize(x, polynomials=QUINTIC, eps=1e-8, margin=1.0):
    """`U p(S / (margin |x|_F + eps)) V^H`."""
    u, s, vh = np.linalg.svd(np.asarray(x), full_matrices=False)
    s = s / (margin * np.linalg.norm(x) + eps)
    for a, b, c in polynomials:
        s = a * s + b * s**3 + c * s**5
    return (u * s) @ vh


def newton_schulz(x, polynomials=QUINTIC, eps=1e-8):
    """The same by matrix products: https://kellerjordan.github.io/posts/muon/."""
    x = x / (np.linalg.norm(x) + eps)
    for a, b, c in polynomials:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def muon(gradient_fn, w0, steps, learning_rate: Hyper, beta: Hyper, eps=1e-8, decay=0.0, nesterov=True, factor=1.0):
    """torch.optim.Muon in exact arithmetic; `lerp` of the velocity, then of the gradient towards it."""
    w, velocity, out = array(w0), np.zeros_like(array(w0)), [array(w0)]
    for t in range(steps):
        g, b = gradient_fn(w), at(beta, t)
        velocity = b * velocity + (1 - b) * g
        ahead = at(beta, t + 1)
        mixed = (1 - b) * g + ahead * velocity if nesterov else velocity
        w = w - at(learning_rate, t) * (factor * orthogonalize(mixed, eps=eps) + decay * w)
        out.append(w)
    return np.array(out)


def normuon(gradient_fn, w0, steps, learning_rate: Hyper, beta, b2, *, paper=False):
    """Li et al. 2025, https://arxiv.org/abs/2510.05491: the authors' normuon.py, or algorithm 1 of the paper."""
    w, velocity, out = array(w0), np.zeros_like(array(w0)), [array(w0)]
    outputs, inputs = w.shape
    second_moment = np.zeros((outputs, 1))
    for t in range(steps):
        g = gradient_fn(w)
        velocity = beta * velocity + (1 - beta) * g
        o = orthogonalize(velocity if paper else (1 - beta) * g + beta * velocity)
        second_moment = b2 * second_moment + (1 - b2) * np.mean(o**2, 1, keepdims=True)
        even = o / (np.sqrt(second_moment) + 1e-10)
        if paper:
            step = 0.2 * np.sqrt(outputs * inputs) / np.linalg.norm(even) * even
        else:
            step = even * np.linalg.norm(o) / (np.linalg.norm(even) + 1e-10) * np.sqrt(max(1, outputs / inputs))
        w = w - at(learning_rate, t) * step
        out.append(w)
    return np.array(out)


def scion(gradient_fn, x0, steps, learning_rate: Hyper, beta, radius, kind, *, constrained=True):
    """Pethick et al. 2025, https://arxiv.org/abs/2502.07529, algorithms 1 and 2, with `alpha = 1 - beta`.

    The balls are those of the authors' scion.py: Spectral, BiasRMS and Sign.
    """
    x, average, out = array(x0), np.zeros_like(array(x0)), [array(x0)]
    for t in range(steps):
        average = beta * average + (1 - beta) * gradient_fn(x)
        if kind == "spectral":
            outputs, inputs = x.shape
            far = np.sqrt(outputs / inputs) * orthogonalize(average)
        elif kind == "rms":
            far = average / (np.sqrt(np.mean(average**2)) + 1e-8)
        else:
            far = np.sign(average) / x.shape[1]
        rate = at(learning_rate, t)
        x = ((1 - rate) * x if constrained else x) - rate * radius * far
        out.append(x)
    return np.array(out)
