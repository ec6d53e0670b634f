"""What a file is by its first bytes: half a download and a web page are named like weights, too."""

import zipfile
from pathlib import Path

_READ = 1024  # bytes that tell a file's kind
_AGAIN = "download or copy it again"
_LFS = b"version https://git-lfs"
_PACKED = {
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
}
_OTHERS = {
    b"\x89HDF": "an HDF5 file, as Keras writes them",
    b"\x93NUMPY": "a NumPy array",
    b"GGUF": "a GGUF file",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}

# Keras's, which are HDF5 or zip archives with HDF5 in them.
_HDF5_SUFFIXES = (".h5", ".hdf5", ".keras")


def why_no_weights(path: Path, suffix: str) -> str | None:
    """Returns what a file is if that is not a format of weights of its suffix, and None if it may be one.

    Args:
      path: the file.
      suffix: of its name, in lower case.

    Raises:
      OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(_READ)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return f"it is empty; {_AGAIN}"
    if not head.strip(b"\0"):
        return f"it begins with zeros alone; {_AGAIN}"
    if head.startswith(_LFS):
        return "it is a Git LFS pointer and not the file itself; run git lfs pull"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        return f"it is a web page; {_AGAIN}"
    for magic, kind in _PACKED.items():
        if head.startswith(magic):
            return f"it is {kind}; unpack it first"
    for magic, kind in _OTHERS.items():
        if head.startswith(magic) and suffix not in _HDF5_SUFFIXES:
            return f"it is {kind}"
    if head[257:262] == b"ustar":
        return "it is a tar archive; unpack it first"
    if head.startswith(b"PK") and suffix not in _HDF5_SUFFIXES:
        return _why_no_pytorch_archive(path)
    if _is_text(head) and suffix != ".json":
        return "it is a text file"
    return None


def is_safetensors(path: Path) -> bool:
    """Returns whether a file begins as safetensors' format does: 8 bytes of length, and JSON."""
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


def is_pytorch(path: Path) -> bool:
    """Returns whether a file begins as PyTorch's formats do: as a zip archive or a pickle."""
    with open(path, "rb") as file:
        head = file.read(2)
    return head == b"PK" or (head[:1] == b"\x80" and not is_safetensors(path))


def _why_no_pytorch_archive(path: Path) -> str | None:
    if not zipfile.is_zipfile(path):
        return f"it is a zip archive without its end; {_AGAIN}"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return f"it is a damaged zip archive; {_AGAIN}"
    if names and all(name.endswith(".npy") for name in names):
        return "it is an archive of NumPy arrays (.npz)"
    if any("/code/" in name for name in names):
        return "it is a TorchScript program; save the state_dict() of its module"
    count = sum(name.endswith("/data.pkl") for name in names)
    return None if count == 1 else "it is a zip archive, and none of PyTorch's"


def _is_text(head: bytes) -> bool:
    # A pickle of protocol 0 is text, too; it ends with a dot, and PyTorch writes none.
    return all(byte in b"\t\r\n" or byte >= 32 for byte in head) and b"\x7f" not in head
