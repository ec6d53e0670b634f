"""A program that reads a file of Keras's by h5py, and writes its tensors as safetensors: `keras_program.py FILE OUT`.

It is a process of its own, with limits, as HDF5's library may crash on a damaged file, run for ever or ask for all
memory; it imports nothing of this package, to begin at once. Nothing in a file is made or run: of a model's
configuration only the layers' names and constants are looked at. Links out of a file are refused.
"""

import io
import json
import os
import re
import resource
import sys
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

REFUSED = 3  # the exit status of a file that is no sound one of Keras's; the reason is on stderr
MOST_EXPANSION = 10  # times the file's size; tensors of noise hardly shrink
_MOST_TENSORS = 20_000
_DEEPEST = 12  # groups in one another; models in models have a few
_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"
# What a variable is, by the end of its name. Of Keras 1 are W, b, running_mean and running_std (which is a variance).
_VARIABLES = (
    ("depthwise_kernel", "kernel"), ("kernel", "kernel"), ("gamma", "gamma"), ("beta", "beta"),
    ("moving_mean", "mean"), ("moving_variance", "variance"), ("running_mean", "mean"), ("running_std", "variance"),
    ("bias", "bias"), ("W", "kernel"), ("b", "bias"),
)  # fmt: skip
# The variables of a layer whose names are numbers, by Keras's class and how many there are.
_BY_PLACE = {
    ("norm", 4): ("gamma", "beta", "mean", "variance"),
    ("norm", 3): ("beta", "mean", "variance"),
    ("other", 2): ("kernel", "bias"),
    ("other", 1): ("kernel",),
}


class RefusedError(ValueError):
    """A file that is damaged, or none of Keras's; the message says why."""


def limit(size: int) -> None:
    """Limits this process to what a sound file of so many bytes takes."""
    memory, seconds = 2**30 + 3 * MOST_EXPANSION * size, 20 + size // 2**24
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(path: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns (the tensors of Keras's layers as `layer/variable`, how layers are called and what options they have).

    Raises:
      RefusedError: it is damaged, or no file of Keras's.
    """
    import h5py

    try:
        if zipfile.is_zipfile(path):
            return _read_archive(h5py, path)
        with h5py.File(path, "r") as file:
            return _read_file(h5py, file, os.stat(path).st_size, None)
    except RefusedError:
        raise
    except Exception as error:
        # Damaged bytes may mean anything to HDF5, whose errors are of many kinds.
        reason = "it is damaged, or no file of Keras's; download or copy it again"
        raise RefusedError(reason) from error


_Content = tuple[dict[str, np.ndarray], dict[str, str]]


def _read_archive(h5py: Any, path: str) -> _Content:
    with zipfile.ZipFile(path) as archive:
        size = os.stat(path).st_size
        if sum(each.file_size for each in archive.infolist()) > MOST_EXPANSION * size:
            raise RefusedError("it is a zip archive that unpacks to over 10 times its size")
        names = archive.namelist()
        if _WEIGHTS not in names:
            raise RefusedError("it is a zip archive, and none of Keras's")
        config = json.loads(archive.read(_CONFIG)) if _CONFIG in names else None
        content = archive.read(_WEIGHTS)
    with h5py.File(io.BytesIO(content), "r") as file:
        return _read_file(h5py, file, len(content), config)


def _read_file(h5py: Any, file: Any, size: int, config: Any) -> _Content:
    reader = _Reader(h5py, MOST_EXPANSION * size)
    text = file.attrs.get("model_config")
    if config is None and text is not None:
        config = json.loads(text)
    root = reader.child(file, "model_weights") if "model_weights" in file else file
    if any(name.startswith("layer_names") for name in root.attrs):
        tensors, named = reader.by_attributes(root), True
    else:
        tensors, named = reader.by_groups(root, config)
    if not tensors:
        raise RefusedError("it holds no tensors of layers")
    kind = "named" if named else "counted"
    return tensors, {"layers": kind, "options": json.dumps(options_of_config(config))}


class _Reader:
    def __init__(self, h5py: Any, most_bytes: int):
        self._h5py = h5py
        self._left = most_bytes
        self._count = 0

    def by_attributes(self, root: Any) -> dict[str, np.ndarray]:
        """Returns the tensors of a file whose attributes list the layers and their weights."""
        tensors: dict[str, np.ndarray] = {}
        for layer in _texts(root.attrs, "layer_names"):
            group = self.child(root, layer)
            names = _texts(group.attrs, "weight_names")
            kinds = [variable(name) for name in names]
            for name, kind in zip(names, kinds, strict=True):
                # A layer that is a model itself has weights of many layers.
                inside = name.rpartition("/")[0] if len(set(kinds)) < len(kinds) else layer
                tensors[f"{inside}/{kind}"] = self.tensor(group, name)
        return tensors

    def by_groups(self, root: Any, config: Any) -> tuple[dict[str, np.ndarray], bool]:
        """Returns (the tensors of a file of Keras 3, whether layers have their own names)."""
        known = _names_by_group(config)
        tensors: dict[str, np.ndarray] = {}
        named = True
        for path, variables in self._layers(root, ()):
            if path[:1] == ("optimizer",):
                continue
            group = path[-1] if path else ""
            kind = "norm" if group.startswith("batch_normalization") else "other"
            kinds = _BY_PLACE.get((kind, len(variables)))
            if kinds is None:
                # A layer's seed or another state that is no weight.
                continue
            name = variables.attrs.get("name") or known.get(group)
            named = named and name is not None
            for index, each in enumerate(kinds):
                tensors[f"{_text(name or group)}/{each}"] = self.tensor(variables, str(index))
        return tensors, named

    def _layers(self, group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yields (path, group of variables) of every layer below a group."""
        if len(path) > _DEEPEST:
            raise RefusedError("it has groups in groups")
        for name in group:
            self._step()
            inside = self.child(group, name)
            if not isinstance(inside, self._h5py.Group):
                continue
            if name == "vars":
                if len(inside):
                    yield path, inside
            else:
                yield from self._layers(inside, (*path, name))

    def child(self, group: Any, path: str) -> Any:
        """Returns what lies at a path below a group.

        Raises:
          RefusedError: there is nothing, or a link.
        """
        for name in filter(None, path.split("/")):
            link = group.get(name, getlink=True)
            if link is None:
                raise RefusedError(f"it lacks {_shorten(path, 60)}; download or copy it again")
            if not isinstance(link, self._h5py.HardLink):
                raise RefusedError(f"{_shorten(path, 60)} is a link to something else")
            group = group[name]
        return group

    def tensor(self, group: Any, path: str) -> np.ndarray:
        """Returns the values of a dataset.

        Raises:
          RefusedError: they are not all in the file, or are no numbers.
        """
        self._step()
        dataset, shown = self.child(group, path), _shorten(path, 60)
        if not isinstance(dataset, self._h5py.Dataset):
            raise RefusedError(f"{shown} is no tensor")
        if dataset.is_virtual or dataset.external:
            raise RefusedError(f"the values of {shown} are in another file")
        if dataset.dtype.kind not in "fiu" or dataset.shape is None:
            raise RefusedError(
                f"{shown} is of type {_shorten(str(dataset.dtype), 30)}, which no weights are"
            )
        self._left -= dataset.nbytes
        if self._left < 0 or (dataset.nbytes and not dataset.id.get_storage_size()):
            raise RefusedError(f"{shown} is larger than the file")
        return np.asarray(dataset[()])

    def _step(self) -> None:
        self._count += 1
        if self._count > _MOST_TENSORS:
            raise RefusedError("it has too many groups")


def options_of_config(config: Any) -> dict[str, Any]:
    """Returns what a model's configuration says of its options: the epsilon of batch norms, if they have one."""
    epsilons = {
        inside["epsilon"]
        for kind, inside in _layers_of(config)
        if kind == "BatchNormalization" and isinstance(inside.get("epsilon"), float)
    }
    return {"epsilon": epsilons.pop()} if len(epsilons) == 1 else {}


def _names_by_group(config: Any) -> dict[str, str]:
    """Returns the names of a configuration's layers by what Keras 3 calls their groups: their class, counted."""
    counts: dict[str, int] = {}
    names = {}
    for kind, inside in _layers_of(config):
        snake = re.sub(
            "([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)
        ).lower()
        count = counts.get(snake, 0)
        counts[snake] = count + 1
        if isinstance(inside.get("name"), str):
            names[f"{snake}_{count}" if count else snake] = inside["name"]
    return names


def _layers_of(config: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields (class, configuration) of a model's layers."""
    inside = config.get("config") if isinstance(config, dict) else None
    layers = inside.get("layers") if isinstance(inside, dict) else None
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, dict) and isinstance(layer.get("config"), dict):
            yield str(layer.get("class_name")), layer["config"]


def variable(name: str) -> str:
    """Returns what a variable of this name is: kernel, bias, gamma, beta, mean or variance."""
    last = re.sub(r"(:\d+|_\d+)+$", "", name.rpartition("/")[2])
    for end, kind in _VARIABLES:
        if last == end or last.endswith(f"_{end}"):
            return kind
    raise RefusedError(f"{_shorten(name, 60)} is a weight of a kind that no model here has")


def _texts(attributes: Any, name: str) -> list[str]:
    """Returns a list of texts, which Keras writes in pieces (`layer_names0`, ...) if it is long."""
    if name in attributes:
        pieces = [attributes[name]]
    else:
        pieces = []
        while f"{name}{len(pieces)}" in attributes:
            pieces.append(attributes[f"{name}{len(pieces)}"])
    return [_text(each) for piece in pieces for each in np.asarray(piece).ravel()]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def main() -> None:
    """Writes the tensors of one file to another, with how layers are called in its metadata."""
    from safetensors.numpy import save_file

    path, out = sys.argv[1:]
    limit(os.stat(path).st_size)
    try:
        tensors, metadata = read(path)
    except RefusedError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(REFUSED)
    save_file({name: np.ascontiguousarray(each) for name, each in tensors.items()}, out, metadata)


if __name__ == "__main__":
    main()
