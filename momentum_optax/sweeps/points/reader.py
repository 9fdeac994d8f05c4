"""Hyperparameters as a trial sees them."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax


class Reader(Mapping[str, Any]):
    """Hyperparameters of one run, which note what is asked for, and say what there is if that is missing.

    It goes through JAX's transformations, say as an argument of a function that is jitted: numbers are leaves, and what
    is structural belongs to the structure of the tree.

    Attributes:
      read: the names asked for so far; all there are from when they are listed, copied or taken apart.

    Examples:
      >>> hp = Reader({"learning_rate": 0.1, "beta": 0.9})
      >>> hp["learning_rate"] * 2, hp.get("nesterov", False), sorted(hp.read)
      (0.2, False, ['learning_rate', 'nesterov'])
      >>> {**hp}, sorted(hp.read)
      ({'learning_rate': 0.1, 'beta': 0.9}, ['beta', 'learning_rate', 'nesterov'])
    """

    def __init__(self, values: Mapping[str, Any], read: set[str] | None = None):
        """Takes hyperparameters.

        Args:
          values: the hyperparameters by name.
          read: where to note what is asked for, if several readers share that.
        """
        self._values = dict(values)
        self.read: set[str] = set() if read is None else read

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        if name not in self._values:
            raise KeyError(
                f"The trial asks for hyperparameter {name!r}, but the points give only {sorted(self._values)}."
            )
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        self.read.update(self._values)
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}

    def __repr__(self) -> str:
        return f"Reader({self._values!r})"


def _flatten(reader: Reader) -> tuple[list[tuple[Any, Any]], Any]:
    structure = {name: value for name, value in reader.items() if isinstance(value, int | str)}  # a bool is an int
    numbers = {name: value for name, value in reader.items() if name not in structure}
    children = [(jax.tree_util.DictKey(name), value) for name, value in numbers.items()]
    return children, (tuple(numbers), tuple(structure.items()))


def _unflatten(names: Any, numbers: Any) -> Reader:
    return Reader({**dict(names[1]), **dict(zip(names[0], numbers, strict=True))})


jax.tree_util.register_pytree_with_keys(Reader, _flatten, _unflatten)
