"""The tools that the methods here are made of, for writing a method with a state of its own.

A method written with them keeps the laws about dtypes, missing gradients, shardings and coefficients without mentioning
them: `zeros` makes a memory, `remember` moves it, `emit` forms the updates from it, `check`, `fit` and `at` turn a
coefficient into values, and `transformation` joins `init` and `update`. `adaptive` lets rules and `layerwise` into the
coefficients of a maker, and a `Rule` of your own goes wherever a coefficient does: it is `Seen` what there is to see.
"""

from ._adaptive import adaptive as adaptive
from ._coefficient import DECAY as DECAY
from ._coefficient import FINITE as FINITE
from ._coefficient import FRACTION as FRACTION
from ._coefficient import NON_NEGATIVE as NON_NEGATIVE
from ._coefficient import POSITIVE as POSITIVE
from ._coefficient import Range as Range
from ._coefficient import at as at
from ._coefficient import check as check
from ._grouping import fit as fit
from ._leafwise import emit as emit
from ._leafwise import remember as remember
from ._leafwise import zeros as zeros
from ._rule import Output as Output
from ._rule import Rule as Rule
from ._rule import Seen as Seen
from ._rule import dot as dot
from ._rule import norm as norm
from ._rule import ratio as ratio
from ._transformation import increment as increment
from ._transformation import transformation as transformation
from ._transformation import zero_count as zero_count
