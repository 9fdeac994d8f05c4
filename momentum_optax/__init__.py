"""Momentum for JAX: every way in which past gradients are remembered and used to train a model.

Everything here is an `optax.GradientTransformationExtraArgs` or a function that makes one. `compat` holds the
optimizers of other frameworks, `extend` the tools for your own, `catalog` a row for each method, `testing` the laws,
and `sweeps` many training runs at once.
"""

from . import compat as compat
from . import extend as extend
from . import rules as rules
from . import schedules as schedules
from . import wrappers as wrappers
from ._evaluation import eval_params as eval_params
from ._evaluation import lookahead_params as lookahead_params
from ._finish import add_decayed_weights as add_decayed_weights
from ._finish import apply_updates as apply_updates
from ._finish import scale_by_learning_rate as scale_by_learning_rate
from ._step import make_step as make_step
from ._types import Coefficient as Coefficient
from .coefficients.by_depth import by_depth as by_depth
from .coefficients.describe import describe as describe
from .coefficients.layerwise import layerwise as layerwise
from .convert import convert as convert
from .directions.divide import divide as divide
from .directions.root_mean_square import root_mean_square as root_mean_square
from .filters.blend import blend as blend
from .filters.difference import difference as difference
from .filters.ema import ema as ema
from .filters.identity import identity as identity
from .filters.trace import trace as trace
from .optimizers.acc_sgd import acc_sgd as acc_sgd
from .optimizers.acc_sgd import scale_by_acc_sgd as scale_by_acc_sgd
from .optimizers.aggmo import aggmo as aggmo
from .optimizers.aggmo import scale_by_aggmo as scale_by_aggmo
from .optimizers.ema_momentum import ema_momentum as ema_momentum
from .optimizers.ema_momentum import scale_by_ema_momentum as scale_by_ema_momentum
from .optimizers.heavy_ball import heavy_ball as heavy_ball
from .optimizers.heavy_ball import scale_by_heavy_ball as scale_by_heavy_ball
from .optimizers.nesterov import nesterov as nesterov
from .optimizers.nesterov import scale_by_nesterov as scale_by_nesterov
from .optimizers.nesterov_lookahead import nesterov_lookahead as nesterov_lookahead
from .optimizers.nesterov_lookahead import scale_by_nesterov_lookahead as scale_by_nesterov_lookahead
from .optimizers.pid import pid as pid
from .optimizers.pid import scale_by_pid as scale_by_pid
from .optimizers.pnm import pnm as pnm
from .optimizers.pnm import scale_by_pnm as scale_by_pnm
from .optimizers.polyak_heavy_ball import polyak_heavy_ball as polyak_heavy_ball
from .optimizers.qhm import qhm as qhm
from .optimizers.qhm import scale_by_qhm as scale_by_qhm
from .optimizers.srsgd import scale_by_srsgd as scale_by_srsgd
from .optimizers.srsgd import srsgd as srsgd
from .surgery import rescale as rescale
from .surgery import reset as reset
from .surgery import reset_rows as reset_rows
from .surgery import transplant as transplant
from .wrappers.layerwise_chain import layerwise_chain as layerwise_chain
from .wrappers.lookahead import lookahead as lookahead
from .wrappers.metrics import metrics as metrics
from .wrappers.outer_momentum import outer_momentum as outer_momentum
from .wrappers.track import track as track
from .wrappers.verdicts import diverging as diverging
from .wrappers.verdicts import oscillating as oscillating
from .wrappers.verdicts import stalled as stalled

STATE_LAYOUT = 1
"""Version of the layout of all states: the fields of their NamedTuples, and what they hold. Keep it with a
checkpoint."""
