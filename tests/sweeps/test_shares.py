import numpy as np
import pytest

from momentum_optax.sweeps.engine.lanes import Lanes
from momentum_optax.sweeps.engine.shares import Shares
from momentum_optax.sweeps.engine.team import Team


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("rows", "points"), [(1, 1), (1, 5), (3, 4), (5, 1), (6, 8), (2, 100)])
def test_shares_are_of_one_shape_and_make_up_the_whole(rows, points, processes):
    whole = np.arange(rows * points * 2).reshape(rows, points, 2)
    shares = [Shares.of(Team(processes, i), rows, points) for i in range(processes)]
    parts = [each.cut(whole) for each in shares]
    assert {part.shape for part in parts} == {(*shares[0].each, 2)}
    for each in shares:
        np.testing.assert_array_equal(each.join(parts), whole)
    # No way to cut gives smaller shares.
    grids = [(n, processes // n) for n in range(1, processes + 1) if processes % n == 0]
    assert np.prod(shares[0].each) == min(-(-rows // down) * -(-points // across) for down, across in grids)


def test_fewer_points_are_shared_anew():
    shares = Shares.of(Team(2, 1), 3, 8)
    assert (shares.grid, shares.each) == ((1, 2), (3, 4))
    fewer = shares.fewer(3)
    assert fewer.each == (3, 2)
    assert [runs.tolist() for runs in fewer.runs(1)] == [[0, 1, 2], [2, 2]]
    # As few batches as for so many points, and of the same shape, if that trains few runs twice.
    assert fewer.again(Lanes((3, 4), (1, 1), (1, 2))) == Lanes((3, 2), (1, 1), (1, 2))
    assert fewer.again(Lanes((3, 4), (1, 1), (1, 4))) == Lanes((3, 2), (1, 1), (2, 2))
