"""What a sweep has found that is not finished."""

import itertools
import json
import zipfile
from pathlib import Path

import numpy as np

from ..arguments import all_stops
from ..results.results import SweepResult
from ..rungs.history import History, Record
from .store import IDENTITY


def load_unfinished(folder: str | Path) -> SweepResult:
    """Reads what the rungs of a sweep have found that is under way, or was stopped.

    Args:
      folder: of the sweep.

    Returns:
      The result up to the last rung that is finished; `settings["steps"]` says how many steps there would be.

    Raises:
      FileNotFoundError: there is no such sweep, or none of its rungs is finished.
      ValueError: a file is damaged.
    """
    folder = Path(folder)
    try:
        text = (folder / IDENTITY).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"{folder} holds no sweep, for it has neither sweep.json nor {IDENTITY}.") from error
    paths = [folder / "rungs" / f"{rung:05}.npz" for rung in range(1, 1 + len(list((folder / "rungs").glob("*.npz"))))]
    records = [_read(path) for path in itertools.takewhile(Path.exists, paths)]
    if not records:
        raise FileNotFoundError(f"{folder} holds a sweep of which nothing is finished.")
    try:
        sweep = json.loads(text)
        folds = sweep["folds"]
        stops = all_stops(sweep["steps"], sweep["evaluate_every"])[: len(records)]
    except (ValueError, KeyError) as error:
        raise ValueError(f"{folder / IDENTITY} is damaged: {error}.") from error
    history = History(len(sweep["seeds"]) * (folds or 1), len(sweep["points"]), stops)
    history.restore(records)
    label = {"method": sweep["label"]} if sweep["label"] else {}
    return SweepResult(
        points=tuple(label | point for point in sweep["points"]),
        seeds=tuple(sweep["seeds"]),
        steps=np.asarray(stops),
        settings={**sweep["trial"], **{name: sweep[name] for name in ("steps", "evaluate_every", "seeds")}},
        folds=tuple(range(folds or 0)),
        **history.by_run(folds or 1),
    )


def _read(path: Path) -> Record:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
