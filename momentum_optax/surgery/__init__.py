"""Operations on the state of any optimizer, between two updates: pure functions from state to state."""

from .rescale import rescale as rescale
from .reset import reset as reset
from .reset_rows import reset_rows as reset_rows
from .transplant import transplant as transplant
