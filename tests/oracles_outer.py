"""What the outer methods do, in NumPy float64, written from their papers and authors' code; see `oracles`."""

from collections.abc import Callable, Sequence

import numpy as np
from oracles import Gradient, Hyper, array, at


def lookahead(
    gradient_fn: Gradient,
    x0,
    steps: int,
    learning_rate: Hyper,
    beta: Hyper,
    sync_period: Hyper,
    slow_step: Hyper,
    velocity: str = "keep",
) -> tuple[np.ndarray, np.ndarray]:
    """Zhang et al. 2019, https://arxiv.org/abs/1907.08610; lookahead_pytorch.py of github.com/michaelrzhang/lookahead.

    Around heavy ball; returns the params and the slow weights. The code's `cached_mom` becomes, after the first
    meeting, the buffer itself instead of a copy of it; here it is the copy that it is meant to be.
    """
    x = slow = array(x0)
    m = slow_m = np.zeros_like(x)
    xs, slows, since = [x], [slow], 0
    for count in range(steps):
        m = at(beta, count) * m + gradient_fn(x)
        x = x - at(learning_rate, count) * m
        since += 1
        if since >= at(sync_period, count):
            since, alpha = 0, at(slow_step, count)
            x = slow = alpha * x + (1 - alpha) * slow
            if velocity == "pull back":
                m = slow_m = alpha * m + (1 - alpha) * slow_m
            elif velocity == "reset":
                m = np.zeros_like(x)
        xs.append(x)
        slows.append(slow)
    return array(xs), array(slows)


def outer_momentum(
    gradient_fns: Sequence[Gradient],
    x0,
    steps: int,
    learning_rate: float,
    beta: float,
    sync_period: int,
    outer_learning_rate: Hyper,
    outer_beta: Hyper,
) -> tuple[np.ndarray, np.ndarray]:
    """Douillard et al. 2023, DiLoCo, https://arxiv.org/abs/2311.08105, algorithm 1, around heavy ball.

    One gradient function for each replica. The outer optimizer is torch.optim.SGD(nesterov=True) on the mean of what
    the replicas did; its numbers may be functions of the count of outer steps, of which the next beta is the one to
    look ahead by. Returns the params of the replicas [steps + 1, replicas, d] and the shared ones [steps + 1, d].
    """
    shared = array(x0)
    replicas = [shared] * len(gradient_fns)
    inner, buffer = [np.zeros_like(shared)] * len(gradient_fns), np.zeros_like(shared)
    xs, shareds = [replicas], [shared]
    for step in range(1, steps + 1):
        inner = [beta * m + g(x) for m, g, x in zip(inner, gradient_fns, replicas, strict=True)]
        replicas = [x - learning_rate * m for x, m in zip(replicas, inner, strict=True)]
        if step % sync_period == 0:
            delta = np.mean([shared - x for x in replicas], axis=0)
            count = step // sync_period - 1
            buffer = at(outer_beta, count) * buffer + delta
            shared = shared - at(outer_learning_rate, count) * (delta + at(outer_beta, count + 1) * buffer)
            replicas = [shared] * len(gradient_fns)
        xs.append(replicas)
        shareds.append(shared)
    return array(xs), array(shareds)


def slowmo(
    gradient_fn: Gradient, x0, steps: int, learning_rate: Hyper, sync_period: int, slow_lr: float, slow_beta: float
) -> np.ndarray:
    """Wang et al. 2019, SlowMo, https://arxiv.org/abs/1910.00643, algorithm 1 around gradient descent, on one worker.

    The momentum is in units of gradients, by the learning rate that the optimizer has when the workers meet, as in
    gossip/distributed.py of github.com/facebookresearch/fairscale.
    """
    x = start = array(x0)
    u, xs = np.zeros_like(x), [x]
    for count in range(steps):
        gamma = at(learning_rate, count)
        x = x - gamma * gradient_fn(x)
        if (count + 1) % sync_period == 0:
            u = slow_beta * u + (start - x) / gamma
            x = start = start - slow_lr * gamma * u
        xs.append(x)
    return array(xs)


def polyak_heavy_ball(
    gradient_fn: Gradient, loss_fn: Callable[[np.ndarray], float], x0, steps: int, f_star: Hyper
) -> np.ndarray:
    """Goujaud, Taylor and Dieuleveut 2022, https://arxiv.org/abs/2210.06367, algorithm 1."""
    xs, m, before = [array(x0), array(x0)], 0.0, None
    for count in range(steps):
        x, x_before = xs[-1], xs[-2]
        g, gap = gradient_fn(x), loss_fn(x) - at(f_star, count)
        if before:
            g_before, gap_before = before
            num = -gap * (g @ g_before)
            m = num / (gap_before * (g @ g) - num)
        h = 2 * gap / (g @ g)
        xs.append(x - (1 + m) * h * g + m * (x - x_before))
        before = g, gap
    return array(xs[1:])
