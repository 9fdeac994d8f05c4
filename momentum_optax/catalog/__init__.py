"""The catalogue: one row per method, from which the laws, the README's table and the command line are fed.

One file for each family of rows; whoever adds a family adds it here.
"""

from .._method import Hyperparameter as Hyperparameter
from .._method import Method as Method
from .adams import ADAMS
from .agreement import AGREEMENT
from .averaging import AVERAGING
from .classical import CLASSICAL
from .defence import DEFENCE
from .layerwise import LAYERWISE
from .matrices import MATRICES
from .moments import MOMENTS
from .outer import OUTER
from .parts import PARTS
from .peers import PEERS
from .relatives import RELATIVES
from .restarts import RESTARTS
from .rules import RULES
from .schedules import SCHEDULES
from .signs import SIGNS
from .two_point import TWO_POINT
from .watching import WATCHING

CATALOG: tuple[Method, ...] = (
    *PARTS,
    *CLASSICAL,
    *ADAMS,
    *RELATIVES,
    *SIGNS,
    *AGREEMENT,
    *MATRICES,
    *MOMENTS,
    *RESTARTS,
    *PEERS,
    *LAYERWISE,
    *SCHEDULES,
    *RULES,
    *DEFENCE,
    *OUTER,
    *AVERAGING,
    *TWO_POINT,
    *WATCHING,
)
