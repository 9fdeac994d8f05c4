"""The catalogue: one row per method, from which the laws, the README's table and the command line are fed.

One file for each family of rows; whoever adds a family adds it here.
"""

from .._method import Hyperparameter as Hyperparameter
from .._method import Method as Method
from .classical import CLASSICAL
from .defence import DEFENCE
from .layerwise import LAYERWISE
from .outer import OUTER
from .parts import PARTS
from .peers import PEERS
from .restarts import RESTARTS
from .rules import RULES
from .schedules import SCHEDULES
from .watching import WATCHING

CATALOG: tuple[Method, ...] = (
    *PARTS,
    *CLASSICAL,
    *RESTARTS,
    *PEERS,
    *LAYERWISE,
    *SCHEDULES,
    *RULES,
    *DEFENCE,
    *OUTER,
    *WATCHING,
)
