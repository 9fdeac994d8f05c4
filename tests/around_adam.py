"""Wrappers around a method whose update is not in its state, as a velocity is."""

import momentum_optax as mo

WRAPPERS = {
    "cautious": mo.cautious,
    "clip_by_velocity": mo.wrappers.clip_by_velocity,
    "ema_nesterov": mo.ema_nesterov,
    "grams": mo.grams,
    "guard_finite": mo.wrappers.guard_finite,
    "lazy": mo.wrappers.lazy,
    "lookahead": mo.lookahead,
    "orthogonal_to_params": mo.orthogonal_to_params,
    "outer_momentum": lambda tx: mo.outer_momentum(tx, 5),
    "restart_every": lambda tx: mo.wrappers.restart_every(tx, 10),
    "restart_when": lambda tx: mo.wrappers.restart_when(tx, "gradient"),
    "schedule_free": lambda tx: mo.schedule_free(tx, 0.1),
    "skip_spikes": mo.wrappers.skip_spikes,
    "torque_aware": mo.torque_aware,
    "track": mo.track,
}


def around_adam(name):
    return WRAPPERS[name](mo.adam(0.1, b1=0.0 if name == "schedule_free" else 0.9))
