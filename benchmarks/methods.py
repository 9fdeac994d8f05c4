"""The methods that `step_time` times, with what they have to move and who else has them."""

from typing import Any, NamedTuple

import optax

import momentum_optax as mo

LR = 1e-3  # of all


class Method(NamedTuple):
    """One row of the benchmark.

    Attributes:
      ours: our optimizer.
      moved: arrays of the params' size that an update must read or write: the gradient once, the params twice,
        and each memory twice, or once where it is only read.
      twin: the same method in Optax, if there is one.
      torch: name of the class in `torch.optim` and its arguments, if there is one.
    """

    ours: optax.GradientTransformation
    moved: int
    twin: optax.GradientTransformation | None = None
    torch: tuple[str, dict[str, Any]] | None = None


METHODS = {
    "heavy_ball": Method(mo.heavy_ball(LR, 0.9), 5, optax.sgd(LR, 0.9), ("SGD", {"momentum": 0.9})),
    "trace": Method(
        optax.chain(mo.trace(0.9), optax.scale(-LR)), 5, optax.chain(optax.trace(0.9), optax.scale(-LR))
    ),
    "nesterov": Method(
        mo.nesterov(LR, 0.9), 5, optax.sgd(LR, 0.9, nesterov=True),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
    ),
    "ema_momentum": Method(
        mo.ema_momentum(LR, 0.9, debias=True), 5, optax.chain(optax.ema(0.9), optax.scale(-LR))
    ),
    "divide (Adam)": Method(
        optax.chain(mo.divide(mo.ema(0.9), by=mo.root_mean_square(0.999)), mo.scale_by_learning_rate(LR)),
        7, optax.adam(LR), ("Adam", {}),
    ),
    "qhm": Method(mo.qhm(LR), 5),
    "aggmo": Method(mo.aggmo(LR), 7),
    "acc_sgd": Method(mo.acc_sgd(LR), 5),
    "pid": Method(mo.pid(LR), 9),
    "pnm": Method(mo.pnm(LR), 6),  # the average whose turn it is not need not be written
    "compat.torch_sgd": Method(mo.compat.torch_sgd(LR, 0.9, dampening=0.5), 5),
}  # fmt: skip
