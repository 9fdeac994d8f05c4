"""What happens around a step: transformations of transformations."""

from .accumulate_into import accumulate_into as accumulate_into
from .clip_by_velocity import clip_by_velocity as clip_by_velocity
from .for_matrices import for_matrices as for_matrices
from .guard_finite import guard_finite as guard_finite
from .lazy import lazy as lazy
from .restart_every import restart_every as restart_every
from .restart_when import restart_when as restart_when
from .skip_spikes import skip_spikes as skip_spikes
