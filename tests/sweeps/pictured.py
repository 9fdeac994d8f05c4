"""Results to draw, and what is read from a drawing."""

import numpy as np
import results

from momentum_optax.sweeps import grid


def make(method, beta=True, lost=(), **options):
    points = list(grid(learning_rate=[0.01, 0.1, 1.0], **({"beta": [0.0, 0.9]} if beta else {})))
    accuracy = np.random.default_rng(0).uniform(0.5, 0.99, (len(points), 3, 4))
    rows = [{"method": method, **point} if method else point for point in points]
    return results.make(accuracy, np.arange(10, 50, 10), diverged=lost, points=rows, **options)


def titled(figure):
    return [axes for axes in figure.axes if axes.get_title()]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def written(draw, result):
    """All that is written in a picture, with bars between."""
    figure = draw(result)
    texts = [figure.get_suptitle(), *(text.get_text() for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        texts += [axes.get_title(), axes.get_ylabel(), *ticks(axes.yaxis), axes.get_xlabel(), *ticks(axes.xaxis)]
    return "|".join(texts)
