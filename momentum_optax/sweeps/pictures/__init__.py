"""Pictures of results, readable in greyscale: each a function of a result that returns a matplotlib figure."""

from .._extras import need

need("matplotlib", "Pictures")

from .heat_maps import heat_maps as heat_maps  # noqa: E402
from .learning_curves import learning_curves as learning_curves  # noqa: E402
from .parallel_coordinates import parallel_coordinates as parallel_coordinates  # noqa: E402
from .pareto import pareto as pareto  # noqa: E402
from .seed_strip import seed_strip as seed_strip  # noqa: E402
