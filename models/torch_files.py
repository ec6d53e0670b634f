"""PyTorch's files of tensors (`.pth`) read and written without PyTorch.

A file is a zip archive (since PyTorch 1.6) or a sequence of pickles (before). Of its pickles only what a state dict
needs is accepted: dicts, numbers, strings and tensors. Any other global is refused, so that no file can run code.
"""

import collections
import dataclasses
import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import ml_dtypes
import numpy as np

_DTYPES = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}
_STORAGES = {dtype: name for name, dtype in _DTYPES.items()}
_ByteOrder = Literal["<", ">"]
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


@dataclasses.dataclass
class _Storage:
    """A storage that a pickle refers to; in a file of the older kind its `values` come later."""

    dtype: np.dtype
    key: str
    size: int
    values: np.ndarray | None = None


@dataclasses.dataclass
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """Returns a copy of the tensor's values.

        Raises:
          pickle.UnpicklingError: they are not all in the file.
        """
        values = self.storage.values
        if values is None:
            raise pickle.UnpicklingError(f"storage {self.storage.key} has no values")
        reach = self.offset + sum(
            (size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True)
        )
        if 0 not in self.shape and not 0 <= self.offset <= reach < values.size:
            raise pickle.UnpicklingError("a tensor reaches outside its storage")
        item = self.storage.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, [stride * item for stride in self.strides]
        )
        return np.ascontiguousarray(view).reshape(self.shape)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a state dict by name.

    A checkpoint of a training script may hold the state dict under `state_dict` or `model`.

    Raises:
      pickle.UnpicklingError: another kind of file, a damaged one, or one that would run code.
    """
    with open(path, "rb") as file:
        try:
            content = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
        except (zipfile.BadZipFile, KeyError, EOFError, ValueError, IndexError, struct.error) as e:
            raise pickle.UnpicklingError(str(e) or type(e).__name__) from e
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise pickle.UnpicklingError("it holds no state dict")
    tensors = {name: value for name, value in content.items() if isinstance(value, _Tensor)}
    if not tensors or len(tensors) < len(content):
        raise pickle.UnpicklingError("it holds something other than tensors by name")
    return {name: tensor.array() for name, tensor in tensors.items()}


def write(tensors: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Writes tensors by name as a file that `torch.load(path, weights_only=True)` reads."""
    arrays = [np.asarray(array, order="C") for array in tensors.values()]
    # Stored, not compressed, as PyTorch maps storages from the file.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickle(dict(zip(tensors, arrays, strict=True))))
        archive.writestr("archive/byteorder", "little")
        for index, array in enumerate(arrays):
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            archive.writestr(f"archive/data/{index}", little.tobytes())
        archive.writestr("archive/version", "3\n")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, storage: Callable[[_Storage], _Storage]):
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return _rebuild_tensor if name == "_rebuild_tensor_v2" else _rebuild_parameter
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a state dict never needs")

    def persistent_load(self, reference: tuple[Any, ...]) -> _Storage:
        kind, dtype, key, _, size = reference[:5]
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError("it refers to something that is no storage")
        return self._storage(_Storage(dtype, key, size))


def _rebuild_tensor(
    storage: _Storage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool = False,
    hooks: Any = None,
    *_: Any,
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: _Tensor, requires_grad: bool = False, hooks: Any = None) -> _Tensor:
    return tensor


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        root = pickled.removesuffix("data.pkl")
        order: _ByteOrder = "<"
        if f"{root}byteorder" in archive.namelist():
            order = ">" if archive.read(f"{root}byteorder").strip() == b"big" else "<"
        known: dict[str, _Storage] = {}

        def fill(storage: _Storage) -> _Storage:
            if storage.key not in known:
                raw = archive.read(f"{root}data/{storage.key}")
                storage.values = _values(raw, storage.dtype, order)
                known[storage.key] = storage
            return known[storage.key]

        return _Unpickler(io.BytesIO(archive.read(pickled)), fill).load()


def _read_legacy(file: BinaryIO) -> Any:
    file.seek(0)
    known: dict[str, _Storage] = {}

    def remember(storage: _Storage) -> _Storage:
        return known.setdefault(storage.key, storage)

    def load() -> Any:
        return _Unpickler(file, remember).load()

    if load() != _LEGACY_MAGIC:
        raise pickle.UnpicklingError("it is no PyTorch file")
    load()  # the protocol's version
    system = load()
    order: _ByteOrder = "<" if system.get("little_endian", True) else ">"
    content = load()
    for key in load():
        (size,) = struct.unpack("<q", file.read(8))
        storage = known[key]
        raw = file.read(size * storage.dtype.itemsize)
        storage.values = _values(raw, storage.dtype, order)
    return content


def _values(raw: bytes, dtype: np.dtype, order: _ByteOrder) -> np.ndarray:
    stored = dtype if dtype.itemsize == 1 or order == "<" else dtype.newbyteorder(order)
    return np.frombuffer(raw, stored).astype(dtype, copy=False)


def _pickle(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns the pickle of a dict of tensors, whose classes need not be importable here."""
    out = io.BytesIO()
    out.write(pickle.PROTO + b"\x02" + pickle.EMPTY_DICT)
    for index, (name, array) in enumerate(arrays.items()):
        strides = [stride // array.itemsize for stride in array.strides]
        out.write(_text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + pickle.MARK)
        out.write(pickle.MARK + _text("storage"))
        out.write(f"ctorch\n{_STORAGES[array.dtype]}\n".encode())
        out.write(_text(str(index)) + _text("cpu") + _whole(array.size) + pickle.TUPLE)
        out.write(pickle.BINPERSID + _whole(0))
        for sizes in (array.shape, strides):
            out.write(pickle.MARK + b"".join(map(_whole, sizes)) + pickle.TUPLE)
        out.write(pickle.NEWFALSE + b"ccollections\nOrderedDict\n" + pickle.EMPTY_TUPLE)
        out.write(pickle.REDUCE + pickle.TUPLE + pickle.REDUCE + pickle.SETITEM)
    out.write(pickle.STOP)
    return out.getvalue()


def _text(value: str) -> bytes:
    encoded = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _whole(value: int) -> bytes:
    return pickle.BININT + struct.pack("<i", value)
