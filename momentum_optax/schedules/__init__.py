"""Schedules of the momentum coefficient: functions of the count of updates, 0 at the first.

They go wherever a method takes a beta. Their numbers may be traced arrays, so that a sweep can `vmap` over them, and
their values stay in [0, 1) at every count; where rounding would make them 1 they are the largest number below it.
(`ademamix_alpha` is a weight and no decay, and may be anything.)
"""

from .ademamix import ademamix_alpha as ademamix_alpha
from .ademamix import ademamix_b3 as ademamix_b3
from .annealing import cosine as cosine
from .annealing import demon as demon
from .annealing import linear as linear
from .annealing import warmup as warmup
from .cycles import cyclic as cyclic
from .cycles import one_cycle as one_cycle
from .growing import fista_sequence as fista_sequence
from .growing import nesterov_sequence as nesterov_sequence
from .growing import sutskever as sutskever
from .half_life import from_half_life as from_half_life
from .half_life import rescale_beta as rescale_beta
from .pieces import piecewise as piecewise
from .restarts import WarmRestarts as WarmRestarts
from .restarts import warm_restarts as warm_restarts
