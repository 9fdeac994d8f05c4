"""Coefficients that watch the training: each decides its value at every update, from what it sees."""

from .alignment import alignment as alignment
from .build import build as build
from .hypergradient import hypergradient as hypergradient
from .lipschitz_ratio import lipschitz_ratio as lipschitz_ratio
from .plateau import plateau as plateau
from .yellowfin import yellowfin as yellowfin
