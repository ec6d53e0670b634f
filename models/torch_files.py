"""PyTorch's files of tensors (`.pth`) read and written without PyTorch.

A file is a zip archive (since PyTorch 1.6) or a sequence of pickles (before). Of its pickles only what a state dict
needs is accepted: dicts, numbers, strings and tensors. What training scripts store beside them, such as their flags, is
passed over without being made. Any other global is refused, so that no file can run code.
"""

import dataclasses
import io
import math
import mmap
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal

import ml_dtypes
import numpy as np

from isobudget.wording import shorten

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
# What training scripts store beside the weights; nothing of it is needed.
_PASSED_OVER = {
    *(("argparse", "Namespace"), ("collections", "defaultdict")),
    *(("numpy", "dtype"), ("numpy", "ndarray"), ("_codecs", "encode")),
    *(("numpy.core.multiarray", each) for each in ("scalar", "_reconstruct")),
    *(("numpy._core.multiarray", each) for each in ("scalar", "_reconstruct")),
    *(("pathlib", "PosixPath"), ("pathlib._local", "PosixPath"), ("datetime", "datetime")),
    *(("torch", "Size"), ("torch", "device"), ("torch", "float32"), ("torch", "float16")),
    *(("__builtin__", "set"), ("builtins", "set")),
}
_MOST_DICTS = 500  # that are looked into; training scripts have a few
_DEEPEST_TUPLE = 8  # tuples in one another; tensors have 2
_MOST_EXPANSION = 100  # times an archive's size; tensors of noise hardly shrink


class TensorFileError(pickle.UnpicklingError):
    """A file that is not one of PyTorch's, a damaged one, or one that would run code; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class _StorageType:
    """What a pickle calls a storage's class."""

    dtype: np.dtype


@dataclasses.dataclass(frozen=True, slots=True)
class _Storage:
    """A storage that a pickle refers to; its values are elsewhere in the file."""

    dtype: np.dtype
    key: str
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the tensor's values.

        Args:
          values: those of each storage, by its key.

        Raises:
          TensorFileError: they are not all in the file.
        """
        sizes = (self.offset, *self.shape, *self.strides)
        if any(type(size) is not int or size < 0 for size in sizes):
            raise TensorFileError("a tensor has an impossible shape")
        stored = values[self.storage.key]
        # A stride of 0 could ask for any amount of memory.
        if math.prod(self.shape) > stored.size:
            raise TensorFileError("a tensor has more elements than its storage")
        reach = self.offset + sum(
            (size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True)
        )
        if 0 not in self.shape and reach >= stored.size:
            raise TensorFileError("a tensor reaches outside its storage")
        item = stored.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            stored[self.offset :], self.shape, [stride * item for stride in self.strides]
        )
        return np.ascontiguousarray(view).reshape(self.shape)


class _Dict(dict):
    """An `OrderedDict` of a file; what modules put into its attributes, such as `_metadata`, is left out."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


class _PassedOver:
    """Stands for an object of a file that is not needed, whatever it is made of."""

    __slots__ = ()

    def __new__(cls, *arguments: Any, **options: Any) -> "_PassedOver":
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


@dataclasses.dataclass(frozen=True, slots=True)
class _Function:
    """A function that a pickle may call. The function itself is out of its reach, as it could set its attributes."""

    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Returns the tensors by name of a file that holds one state dict.

    Raises:
      TensorFileError: one that holds several, or that `read_all` refuses.
      OSError: it cannot be read.
    """
    tensors, *others = read_all(path).values()
    if others:
        raise TensorFileError(f"it holds {len(others) + 1} sets of tensors")
    return tensors


def read_all(path: str | Path) -> dict[str, dict[str, np.ndarray]]:
    """Returns the tensors of each state dict in a file by name, by where in the file it lies.

    A file that is a state dict has it at "". A checkpoint of a training script may hold several, such as `model` and
    `model_ema`; their entries in one another have dots between them.

    Raises:
      TensorFileError: another kind of file, a damaged one, or one that would run code.
      OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            content, values = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
            if not isinstance(content, dict):
                raise TensorFileError("it holds no state dict")
            state_dicts = {
                entry: {name: tensor.array(values) for name, tensor in tensors.items()}
                for entry, tensors in _state_dicts(content, "", {id(content)})
            }
        except (TensorFileError, OSError):
            raise
        except Exception as error:
            # Damaged bytes may mean anything to an unpickler, which then raises anything, MemoryError included.
            raise TensorFileError(
                "it is damaged, or no file of PyTorch's; download or copy it again"
            ) from error
    if not state_dicts:
        raise TensorFileError("it holds no tensors by name")
    return state_dicts


def _state_dicts(
    content: Mapping[Any, Any], entry: str, seen: set[int]
) -> Iterator[tuple[str, dict[str, _Tensor]]]:
    """Yields (entry, tensors by name) of each dict that holds tensors, the outer ones first."""
    named = {key: value for key, value in content.items() if type(key) is str}
    tensors = {key: value for key, value in named.items() if isinstance(value, _Tensor)}
    if tensors:
        yield entry, tensors
    for key, value in named.items():
        # A pickle may put a dict into itself.
        if isinstance(value, dict) and id(value) not in seen and len(seen) < _MOST_DICTS:
            seen.add(id(value))
            yield from _state_dicts(value, f"{entry}.{key}" if entry else key, seen)


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


class _Unpickler(pickle._Unpickler):
    """Reads a pickle of dicts, numbers, strings and tensors.

    In Python, as the one in C takes as much memory as a damaged number says. Nothing that a pickle gets to change
    outlives the reading of its file.
    """

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: Any, remember: Callable[[_Storage], _Storage]):
        super().__init__(file, encoding="utf-8")
        self._remember = remember

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _Dict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return _Function(
                _rebuild_tensor if name == "_rebuild_tensor_v2" else _rebuild_parameter
            )
        if module == "torch" and name in _DTYPES:
            return _StorageType(_DTYPES[name])
        if (module, name) in _PASSED_OVER:
            return _PassedOver
        asked = shorten(f"{module}.{name}", 80)
        if module.split(".")[0] == "torch" and ("Storage" in name or name.startswith("_rebuild")):
            raise TensorFileError(
                f"it holds tensors of a kind that no model here has ({asked}), such as quantized ones"
            )
        raise TensorFileError(f"it asks for {asked}, which a state dict never needs")

    def persistent_load(self, reference: Any) -> _Storage:
        if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
            raise TensorFileError("it refers to something that is no storage")
        _, kind, key, _, size = reference[:5]
        if not (isinstance(kind, _StorageType) and type(key) is str and type(size) is int):
            raise TensorFileError("it refers to something that is no storage")
        return self._remember(_Storage(kind.dtype, key, size))


def _with_shallow_tuples(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """Returns an opcode's function that refuses to put tuples into one another endlessly, whose hash ends Python."""

    def load_and_check(unpickler: Any) -> None:
        load(unpickler)
        if _depth(unpickler.stack[-1]) > _DEEPEST_TUPLE:
            raise TensorFileError("it holds tuples in tuples")

    return load_and_check


def _depth(value: Any, most: int = _DEEPEST_TUPLE) -> int:
    """Returns how many tuples lie in one another, up to `most` + 1."""
    if not isinstance(value, tuple) or most < 0:
        return 0
    return 1 + max((_depth(each, most - 1) for each in value), default=0)


for _code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
    _Unpickler.dispatch[_code[0]] = _with_shallow_tuples(_Unpickler.dispatch[_code[0]])


def _rebuild_tensor(
    storage: _Storage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool = False,
    hooks: Any = None,
    *_: Any,
) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise TensorFileError("a tensor has no storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: _Tensor, requires_grad: bool = False, hooks: Any = None) -> _Tensor:
    return tensor


def _read_zip(file: BinaryIO) -> tuple[Any, dict[str, np.ndarray]]:
    """Returns (what the pickle holds, the values of storages by key) of an archive."""
    size = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        if sum(each.file_size for each in archive.infolist()) > _MOST_EXPANSION * size:
            raise TensorFileError("it is a zip archive that unpacks to over 100 times its size")
        names = set(archive.namelist())
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise TensorFileError("it is a zip archive, and none of PyTorch's")
        root = pickles[0].removesuffix("data.pkl")
        order: _ByteOrder = "<"
        if f"{root}byteorder" in names:
            order = ">" if archive.read(f"{root}byteorder").strip() == b"big" else "<"
        known: dict[str, np.ndarray] = {}

        def fill(storage: _Storage) -> _Storage:
            if storage.key not in known:
                if f"{root}data/{storage.key}" not in names:
                    raise TensorFileError(f"storage {shorten(storage.key, 40)} has no values")
                raw = archive.read(f"{root}data/{storage.key}")
                known[storage.key] = _values(raw, storage, order)
            return storage

        return _Unpickler(io.BytesIO(archive.read(pickles[0])), fill).load(), known


def _read_legacy(file: BinaryIO) -> tuple[Any, dict[str, np.ndarray]]:
    """Returns (what the pickle holds, the values of storages by key) of a file from before PyTorch 1.6."""
    storages: dict[str, _Storage] = {}

    def remember(storage: _Storage) -> _Storage:
        return storages.setdefault(storage.key, storage)

    # Mapped, so that a read of more than there is takes no memory.
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:

        def load() -> Any:
            return _Unpickler(mapped, remember).load()

        if load() != _LEGACY_MAGIC:
            raise TensorFileError("it is no PyTorch file")
        load()  # the protocol's version
        system = load()
        order: _ByteOrder = "<" if system.get("little_endian", True) else ">"
        content = load()
        known: dict[str, np.ndarray] = {}
        for key in load():
            storage = storages[key]
            (size,) = struct.unpack("<q", mapped.read(8))
            if size != storage.size:
                raise TensorFileError(f"storage {shorten(key, 40)} has two sizes")
            raw = mapped.read(max(size, 0) * storage.dtype.itemsize)
            known[key] = _values(raw, storage, order)
    if missing := storages.keys() - known.keys():
        raise TensorFileError(f"storage {shorten(min(missing), 40)} has no values")
    return content, known


def _values(raw: bytes, storage: _Storage, order: _ByteOrder) -> np.ndarray:
    dtype = storage.dtype
    if len(raw) != storage.size * dtype.itemsize:
        raise TensorFileError(
            f"storage {shorten(storage.key, 40)} has {len(raw):,} bytes instead of {storage.size * dtype.itemsize:,};"
            " download or copy the file again"
        )
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
