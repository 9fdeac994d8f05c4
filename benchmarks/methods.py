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
      asks_previous: whether an update asks for `previous_gradient` too, one array more to read.
    """

    ours: optax.GradientTransformation
    moved: int
    twin: optax.GradientTransformation | None = None
    torch: tuple[str, dict[str, Any]] | None = None
    asks_previous: bool = False


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
    "adam": Method(mo.adam(LR), 7, optax.adam(LR), ("Adam", {})),
    "adamw": Method(mo.adamw(LR, weight_decay=0.01), 7, optax.adamw(LR, weight_decay=0.01), ("AdamW", {})),
    "amsgrad": Method(mo.amsgrad(LR), 9, optax.amsgrad(LR), ("Adam", {"amsgrad": True})),
    "nadam": Method(mo.nadam(LR), 7, optax.nadam(LR)),
    "nadamw": Method(mo.nadamw(LR, weight_decay=0.01), 7, optax.nadamw(LR, weight_decay=0.01)),
    "adabelief": Method(mo.adabelief(LR), 7, optax.adabelief(LR)),
    "yogi": Method(mo.yogi(LR), 7, optax.yogi(LR)),
    "qhadam": Method(mo.qhadam(LR), 7),
    "schedule_free_sgd": Method(mo.schedule_free_sgd(LR), 5, optax.contrib.schedule_free_sgd(LR)),
    "schedule_free_adamw": Method(mo.schedule_free_adamw(LR), 7, optax.contrib.schedule_free_adamw(LR)),
    "nigt": Method(mo.nigt(LR), 5),
    # Both gradients once, or twice where they are limited; the params of the update before are only written.
    "mars, approximate": Method(mo.mars(LR, approximate=True), 11),
    "storm": Method(mo.storm(LR), 7, asks_previous=True),
    "mars": Method(mo.mars(LR), 11, asks_previous=True),
    "lion": Method(mo.lion(LR), 5, optax.lion(LR)),
    "signum": Method(mo.signum(LR), 5, optax.signum(LR)),
    "tiger": Method(mo.tiger(LR, weight_decay=0.01), 6),  # the params once more for their size
    "adan": Method(mo.adan(LR), 11, optax.adan(LR)),
    "laprop": Method(mo.laprop(LR), 7),
    "ademamix": Method(mo.ademamix(LR), 9, optax.contrib.ademamix(LR)),
    "simplified_ademamix": Method(mo.simplified_ademamix(LR), 7, optax.contrib.simplified_ademamix(LR)),
    "adai": Method(mo.adai(LR), 9),
    "bank (6 averages)": Method(
        optax.chain(mo.bank(mo.log_spaced_betas(6, 1, 1000)), mo.scale_by_learning_rate(LR)), 15
    ),
    "ema_nesterov": Method(mo.ema_nesterov(mo.heavy_ball(LR, 0.9)), 7),
    "rmsprop": Method(mo.rmsprop(LR, momentum=0.9), 7, optax.rmsprop(LR, momentum=0.9), ("RMSprop", {"momentum": 0.9})),
    "rmsprop, centred": Method(
        mo.rmsprop(LR, centered=True, momentum=0.9), 9, optax.rmsprop(LR, centered=True, momentum=0.9),
        ("RMSprop", {"centered": True, "momentum": 0.9}),
    ),
    "madgrad": Method(mo.madgrad(LR), 8, optax.contrib.madgrad(LR)),  # the start is only read
    "msvag": Method(mo.msvag(LR), 7),
    "compat.torch_nadam": Method(mo.compat.torch_nadam(LR), 7, optax.nadam(LR), ("NAdam", {})),
    "compat.torch_rmsprop": Method(
        mo.compat.torch_rmsprop(LR), 5, optax.rmsprop(LR, 0.99, eps_in_sqrt=False), ("RMSprop", {})
    ),
    "compat.torch_sgd": Method(mo.compat.torch_sgd(LR, 0.9, dampening=0.5), 5),
}  # fmt: skip

ADAM = mo.adam(LR)
# Each array that the wrapper or Adam must read or write counts once, though some must be read before all else: for the
# share of a leaf that agrees, an angle, an inner product.
AROUND_ADAM = {
    "cautious(adam)": Method(mo.cautious(ADAM), 7),
    "ema_nesterov(adam)": Method(mo.ema_nesterov(ADAM), 9),
    "orthogonal_to_params(adam)": Method(mo.orthogonal_to_params(ADAM), 7),
    "outer_momentum(adam)": Method(mo.outer_momentum(ADAM, 5), 11),
    "restart_when(adam)": Method(mo.wrappers.restart_when(ADAM, "gradient"), 7),
    "schedule_free(adam)": Method(mo.schedule_free(mo.adam(1.0, b1=0.0), LR), 7),
    "skip_spikes(adam)": Method(mo.wrappers.skip_spikes(ADAM), 7),
    "torque_aware(adam)": Method(mo.torque_aware(ADAM), 7),
    "track(adam)": Method(mo.track(ADAM), 7),
}
