"""Weights in and out: other programs' files to models of this suite, and models to torchvision's state dicts.

Every tensor must be used, and every parameter filled (`models.state_dicts`). Of a training script's checkpoint the
weights are found (`models.checkpoints`). What other programs write, such as Keras, is read by `models.weight_files`.

    python -m models.pretrained --model=resnet50 --weights=resnet50-0676ba61.pth --out=DIR

Beside the weights, `DIR/weights.json` describes what they need (`models.weight_description`); flags such as `--mean`
change that.
"""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from jax.typing import DTypeLike
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from isobudget import command, earlier, plugins
from isobudget.wording import quoted, shorten
from models import (
    checkpoints,
    file_kinds,
    huggingface_names,
    imagenet_classes,
    timm_names,
    torch_files,
    weight_description,
    weight_flags,
)
from models.classifier import Classifier
from models.errors import LONGEST, ModelError
from models.registry import create_abstract, info, label, parse
from models.state_dicts import MisfitError, assign, misfit, shapes, state_dict
from models.weight_files import READERS, Source, WeightFileError, match
from models.weight_files.likely import likely_model

_TORCH_SUFFIXES = (".pth", ".pt")
# Of files that are read: what others name PyTorch's, and other programs' own.
READ_SUFFIXES = (*_TORCH_SUFFIXES, ".safetensors", ".bin", ".ckpt", ".tar", *READERS)
# The types of safetensors that are read, by their names there. Of others, such as 8-bit ones, NumPy knows nothing.
_SAFETENSORS_TYPES = (
    *("F64", "F32", "F16", "BF16"),
    *("I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"),
)


# TensorFlow's models for ImageNet tell its classes and, first, a background.
_WITH_BACKGROUND = 1001


@dataclasses.dataclass(frozen=True)
class Imported:
    """Weights of a file, in a model.

    Attributes:
      model: with the weights, and the number of classes, of the file.
      kind: the file's format.
      stated: what the file says of preprocessing (mean, std, channel_order) and of the model's options.
    """

    model: Classifier
    kind: str
    stated: Mapping[str, Any]


def load(
    spec: str,
    path: str | Path,
    *,
    dtype: DTypeLike | None = None,
    entry: str | None = None,
    drop_background: bool | None = None,
    **options: Any,
) -> Classifier:
    """Returns a model with the weights, and the number of classes, of a file.

    Args:
      spec: `name` or `name:option=value,...`.
      path: a file of PyTorch's or safetensors' with torchvision's, timm's or Hugging Face's names, or one of another
        program, by its suffix (`READ_SUFFIXES`).
      dtype: the compute dtype.
      entry: where in the file the weights are, such as "model_ema"; needed if it holds several.
      drop_background: whether to leave out the first class, which is no class of ImageNet in TensorFlow's models; to be
        said of a file with 1,001 classes.
      **options: the model's options, over those in `spec`. Any others are those the file says or implies. A state dict
        that does not say comes from torchvision or timm, and any others are those of its weights there.

    Raises:
      ModelError: an unknown model or option, a file that cannot be read, or one that does not fit; the message names
        the first of the tensors and parameters that are left over, and the likely cause.
    """
    return import_weights(
        spec, path, dtype=dtype, entry=entry, drop_background=drop_background, **options
    ).model


def import_weights(
    spec: str,
    path: str | Path,
    *,
    dtype: DTypeLike | None = None,
    entry: str | None = None,
    drop_background: bool | None = None,
    **options: Any,
) -> Imported:
    """Returns what `load` returns, and what the file says of its use. The arguments are those of `load`.

    Raises:
      ModelError: see `load`.
    """
    name, listed = parse(spec)
    source = read_source(path)
    given = listed | options
    create_abstract(name, **given)  # whose mistakes come first
    if source.keras or source.outputs:
        matched = _match(source, name, given, path)
        tensors, chosen = dict(matched.tensors), dict(matched.options)
        preprocessing = matched.preprocessing
    else:
        tensors, chosen = _choose(source, name, given, entry, path)
        preprocessing = source.preprocessing
    head = create_abstract(name, **chosen).head
    if drop_background is None and source.saved is not None:
        drop_background = False  # this suite wrote the file, and somebody has said so
    tensors = _without_background(tensors, head, drop_background, path)
    weight = tensors.get(f"{head}.weight")
    num_classes = weight.shape[0] if weight is not None and weight.shape else 1000
    model = create_abstract(name, num_classes, dtype=dtype, **chosen)
    assign(model, tensors, source=_shown(path))
    conventions = {key: value for key, value in chosen.items() if key in ("padding", "epsilon")}
    return Imported(model, source.kind, {**preprocessing, **conventions})


def check_imported(path: str | Path) -> None:
    """Raises `ModelError` for a file of another program, beside which nothing says what its weights need."""
    if Path(path).suffix.lower() in READERS:
        raise ModelError(
            f"{_shown(path)} is another program's: import it first by python -m models.pretrained, which also writes"
            " what the weights need."
        )


def _choose(
    source: Source, name: str, given: Mapping[str, Any], entry: str | None, path: str | Path
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns (the tensors of a model, its options) of a file of state dicts."""
    if source.saved is None:
        assumed: dict[str, Any] = dict(info(name).published_options)
    else:
        saved_name, assumed = _parse_saved(source.saved, path)
        if saved_name != name:
            raise ModelError(
                f"{_shown(path)} holds the weights of {shorten(source.saved, 80)}, not of {name}."
            )
    names = shapes(create_abstract(name, **{**assumed, **given})).keys()
    state_dicts: dict[str, dict[str, np.ndarray]] = {}
    for where, each in source.state_dicts.items():
        state_dicts[where], implied = huggingface_names.to_torchvision(name, each)
        known = {key: value for key, value in implied.items() if key in info(name).options}
        assumed |= known if source.saved is None else {}
    tensors = checkpoints.choose(state_dicts, name, names, entry=entry, source=_shown(path))
    tensors, wanted = timm_names.to_torchvision(name, tensors)
    options = {**assumed, **(wanted if source.saved is None else {}), **given}
    return tensors, _without_missing_heads(name, tensors, options, given)


def _without_missing_heads(
    name: str,
    tensors: Mapping[str, np.ndarray],
    options: dict[str, Any],
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns a model's options, without auxiliary heads if the file has none of their tensors."""
    if "auxiliary" in given or not options.get("auxiliary", info(name).options.get("auxiliary")):
        return options
    without = {**options, "auxiliary": False}
    with_heads, plain = (shapes(create_abstract(name, **each)) for each in (options, without))
    return options if (with_heads.keys() - plain.keys()) & tensors.keys() else without


def _match(source: Source, name: str, given: Mapping[str, Any], path: str | Path) -> match.Match:
    """Returns the tensors of a model, its options and preprocessing, of a file with other names than PyTorch's.

    Raises:
      ModelError: they do not fit.
    """
    try:
        matched = match.match(source, name, given)
    except WeightFileError as error:
        spec = label(name, dict(given))
        text = f"{_shown(path)} does not fit {spec}: {str(error).rstrip('.')}"
        raise ModelError(f"{shorten(text, LONGEST - 1)}.") from error
    if matched.differences:
        spec = label(name, dict(matched.options))
        other = likely_model(matched.kernels, spec)
        cause = f"these are the weights of {other}" if other else ""
        raise misfit(_shown(path), spec, {"they differ in": matched.differences}, cause)
    return matched


def _without_background(
    tensors: Mapping[str, np.ndarray], head: str, drop: bool | None, path: str | Path
) -> dict[str, np.ndarray]:
    """Returns the tensors of a model, without the first class if it is to be left out.

    Raises:
      ModelError: there are 1,001 classes, and nobody has said what to do with the first; or there is none to leave out.
    """
    tensors = dict(tensors)
    weight = tensors.get(f"{head}.weight")
    num_classes = len(weight) if weight is not None and weight.ndim else 0
    if drop is None and num_classes == _WITH_BACKGROUND:
        raise ModelError(
            f"{_shown(path)} has 1,001 classes: TensorFlow's background class comes first; import it with"
            " --drop_background, or with --nodrop_background to keep it."
        )
    if drop:
        if num_classes == _WITH_BACKGROUND - 1:
            raise ModelError(
                f"{_shown(path)} has ImageNet's 1,000 classes and no background class."
            )
        if num_classes < 2:
            raise ModelError(f"{_shown(path)} has no class that could be left out.")
        for name in (f"{head}.weight", f"{head}.bias"):
            if name in tensors:
                tensors[name] = tensors[name][1:]
    return tensors


def save(model: Classifier, path: str | Path) -> None:
    """Writes a model's weights with torchvision's names and layout, as `.pth` or `.safetensors` by the path's suffix.

    A `.safetensors` file says which model it is, options included.

    Raises:
      ModelError: another suffix.
    """
    path = Path(path)
    tensors = state_dict(model)
    if path.suffix in _TORCH_SUFFIXES:
        torch_files.write(tensors, path)
    elif path.suffix == ".safetensors":
        save_file(
            tensors,
            path,
            metadata={"model": model.spec, "version": earlier.SPEC_VERSION, "format": "pt"},
        )
    else:
        raise ModelError(f"weights are .pth or .safetensors files, not {quoted(path.name)}.")


def read(path: str | Path) -> tuple[dict[str, np.ndarray], str | None]:
    """Returns (tensors by name, the model they were saved from or None) of a file that holds one state dict.

    Raises:
      ModelError: a file that holds several, or that `read_all` refuses.
    """
    state_dicts, saved = read_all(path)
    tensors, *others = state_dicts.values()
    if others:
        raise _unreadable(Path(path), f"it holds {len(others) + 1} sets of tensors")
    return tensors, saved


def read_all(path: str | Path) -> tuple[dict[str, dict[str, np.ndarray]], str | None]:
    """Returns (state dicts by where they lie, the model they were saved from or None if the file does not say).

    A state dict has tensors by name. That of a file which holds nothing else lies at "".

    Raises:
      ModelError: the file is missing, damaged, of another kind, or would run code.
    """
    source = read_source(path)
    return {entry: dict(tensors) for entry, tensors in source.state_dicts.items()}, source.saved


def read_source(path: str | Path) -> Source:
    """Returns what a file of weights holds.

    Raises:
      ModelError: the file is missing, damaged, of another kind, or would run code.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READ_SUFFIXES:
        raise _wrong_suffix(path)
    try:
        if path.is_dir():
            raise _unreadable(path, "it is a folder; give one of its files")
        if reason := file_kinds.why_no_weights(path, suffix):
            raise _unreadable(path, reason)
        if suffix in READERS:
            return READERS[suffix](path)
        if suffix == ".safetensors":
            if file_kinds.is_pytorch(path):
                raise _unreadable(path, "it is a file of PyTorch's; name it .pth")
            tensors, saved = _read_safetensors(path)
            return Source("safetensors", {"": tensors}, saved=saved)
        if file_kinds.is_safetensors(path):
            raise _unreadable(path, "it is a safetensors file; name it .safetensors")
        return Source("PyTorch", torch_files.read_all(path))
    except FileNotFoundError:
        raise ModelError(f"there is no file {_shown(path)}.") from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except (torch_files.TensorFileError, WeightFileError) as error:
        raise _unreadable(path, str(error)) from error


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            saved = metadata.get("model")
            if saved is not None and "version" not in metadata:
                saved = earlier.completed(saved)
            tensors = {}
            for name in file.keys():  # noqa: SIM118 (it is no dict)
                kind = file.get_slice(name).get_dtype()
                if kind not in _SAFETENSORS_TYPES:
                    reason = f"tensor {shorten(name, 60)} is of type {kind}, which is not read; convert it to F32"
                    raise _unreadable(path, reason)
                tensors[name] = file.get_tensor(name)
    except (SafetensorError, MemoryError) as error:
        # Its header says what is where; its errors are of "deserializing" that.
        reason = str(error).rpartition("deserializing header: ")[2] or "out of memory"
        raise _unreadable(path, f"it is cut short or damaged ({shorten(reason, 80)})") from error
    if not tensors:
        raise _unreadable(path, "it holds no tensors")
    return tensors, saved


def _parse_saved(saved: str, path: str | Path) -> tuple[str, dict[str, Any]]:
    try:
        return parse(saved)
    except ModelError as error:
        raise ModelError(
            shorten(
                f"{_shown(path)} was saved from a model that is not known here: {error}", LONGEST
            )
        ) from None


def _shown(path: str | Path) -> str:
    return shorten(str(path), 130)


def _unreadable(path: Path, reason: str) -> ModelError:
    text = f"{_shown(path)} cannot be read as weights: {reason.rstrip('.')}"
    return ModelError(f"{shorten(text, LONGEST - 1)}.")


def _wrong_suffix(path: Path) -> ModelError:
    others = [each for each in READERS if each != ".hdf5"]
    return ModelError(
        f"weights are .pth or .safetensors files, or other programs' {', '.join(others)}, not {quoted(path.name)}."
    )


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        "model", None, "The model whose weights these are: NAME[:option=value,...]."
    )
    flags.DEFINE_string(
        "weights",
        None,
        "A file of PyTorch's, of safetensors or of another program, such as Keras, by its suffix.",
    )
    flags.DEFINE_string(
        "entry",
        None,
        "Where in the file the weights are, such as model_ema, if it holds several.",
    )
    flags.DEFINE_boolean(
        "drop_background",
        None,
        "Whether to leave out the first of 1,001 classes, which is TensorFlow's background.",
    )
    flags.DEFINE_boolean(
        "verbose", False, "Whether to list all that differs if the weights do not fit."
    )
    flags.DEFINE_string("out", None, "The folder to write weights.safetensors into.")
    flags.mark_flags_as_required(("model", "weights", "out"))
    weight_flags.define()
    plugins.define_flag()


def main() -> None:
    """Writes the weights of --weights, checked against --model, to `weights.safetensors` in the folder --out.

    `weights.json` beside it describes what they need.

    Raises:
      ModelError: an unknown model, weights that cannot be read or do not fit it, or a folder that cannot be written.
    """
    given = flags.FLAGS
    by_user = weight_flags.stated(given.weights, weight_flags.given())
    conventions = {
        each: by_user[each] for each in weight_description.CONVENTIONS if each in by_user
    }
    drop_background = given.drop_background
    if by_user.get("classes") == imagenet_classes.WITH_BACKGROUND:
        if drop_background:
            del by_user["classes"]
        else:
            drop_background = False
    try:
        imported = import_weights(
            given.model,
            given.weights,
            entry=given.entry,
            drop_background=drop_background,
            **conventions,
        )
    except MisfitError as error:
        if given.verbose:
            print("\n".join(error.details), file=sys.stderr)
        raise
    model = imported.model
    stated = {**imported.stated, **by_user}
    classes = imagenet_classes.list_of(model.num_classes)
    if drop_background is not None and classes:
        stated.setdefault("classes", classes)
    description = weight_description.describe_weights(model, given.weights, stated)
    path = Path(given.out) / "weights.safetensors"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(model, path)
        described = weight_description.write(description, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{_shown(path)} cannot be written: {shorten(reason, 100)}.") from error
    print(f"wrote {path}: {model.spec}\nwrote {described}")
    if description.assumed:
        listed = ", ".join(description.assumed)
        print(f"assumed, as neither the file nor a flag says it: {listed} (docs/weights.md)")


if __name__ == "__main__":
    command.run(main, define_flags)
