"""Writes trained weights as a file that runs without this project, and checks it.

    python -m benchmarks.export --workdir=runs/digits/runs/resnet50-seed0 --format=stablehlo
    python -m benchmarks.export --model=resnet50 --weights=FILE --format=safetensors --out=resnet50.safetensors

`stablehlo` is the whole program, weights and normalization inside, as `jax.export` serializes it: uint8 images
[batch, height, width, 3] of any batch size to float32 logits, for CPUs, CUDA GPUs and TPUs. `safetensors` holds the
weights under torchvision's names; the description beside them (docs/weights.md) makes `--weights=FILE` all that this
project's commands need. Beside either, a JSON file of the same name says what the logits stand for, how pictures are
resized, and how to use the file elsewhere. The file is read back at once and has to give the same logits.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax import export

import models
from benchmarks.cli import command
from benchmarks.config import derived
from benchmarks.errors import ConfigError
from benchmarks.inference import model_flags, trained_model
from benchmarks.inference.trained_model import TrainedModel
from benchmarks.machine import startup
from isobudget import paths
from isobudget.wording import shown
from models import pretrained, weight_description
from results.records import files

FORMATS = ("stablehlo", "safetensors")
PLATFORMS = ("cpu", "cuda", "tpu")
_CHECKED_IMAGES = 8
# As a fraction of the largest logit: what summing in another order changes, and no more.
_TOLERANCE = 1e-4

_USE = {
    "stablehlo": "jax.export.deserialize(bytearray(open(FILE, 'rb').read())).call(images)"
    " (needs jax and flatbuffers)",
    "safetensors": "model.load_state_dict(safetensors.torch.load_file(FILE)), where model is"
    " torchvision's (timm's for MobileNet v1) of this name and number of classes, with this padding and batch norm's"
    " epsilon (TensorFlow's are pad_type='same', bn_eps=0.001 in timm); or --weights=FILE here",
}


@dataclasses.dataclass(frozen=True)
class Exported:
    """A file that was written and read back.

    Attributes:
      path: the file.
      description: the JSON beside it.
      size_bytes: the size of the file.
      largest_difference: between its logits and the model's own, over a few random images.
      largest_logit: the magnitude of the largest of the model's own logits.
    """

    path: Path
    description: Path
    size_bytes: int
    largest_difference: float
    largest_logit: float


def export_model(trained: TrainedModel, file_format: str, path: str | Path) -> Exported:
    """Writes trained weights as a file that runs without this project, and checks that it gives the same logits.

    Args:
      trained: from `trained_model.from_run` or `trained_model.from_weights`.
      file_format: a name in `FORMATS`.
      path: the file; the JSON beside it has the same name and `.json` appended.

    Raises:
      ConfigError: no such format, a path that cannot be written, or `flatbuffers` is missing.
      RuntimeError: the file gives other logits.
    """
    if file_format not in FORMATS:
        raise ConfigError(f"a format is {' or '.join(FORMATS)}, not {shown(file_format)}.")
    path = Path(path)
    write, read = _WRITE_AND_READ[file_format]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(trained, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from None
    images = _images(trained.image_size)
    ours = np.asarray(jax.jit(trained.logits)(images))
    theirs = np.asarray(read(trained, path)(images))
    difference, largest = float(np.max(np.abs(ours - theirs))), float(np.max(np.abs(ours)))
    if not difference <= _TOLERANCE * largest:
        raise RuntimeError(f"{path} gives logits that differ by {difference:g} of {largest:g}")
    beside = path.with_name(f"{path.name}.json")
    exported = Exported(path, beside, path.stat().st_size, difference, largest)
    description = _describe(trained, file_format) | {
        "largest_difference": difference,
        "largest_logit": largest,
    }
    text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    files.write_atomically(exported.description, text)
    return exported


def _write_stablehlo(trained: TrainedModel, path: Path) -> None:
    try:
        import flatbuffers  # noqa: F401 (jax.export writes with it)
    except ImportError:
        raise ConfigError(
            "stablehlo files need flatbuffers: pip install 'isobudget[export]'."
        ) from None
    # On the host, because arrays on a mesh would bind the program to it.
    params, batch_stats = jax.device_get((trained.params, trained.batch_stats))
    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, trained.image_size, trained.image_size, 3), jnp.uint8)
    whole = jax.jit(lambda images: trained.model.logits(params, batch_stats, images))
    with models.traced_for(*PLATFORMS):
        exported = export.export(whole, platforms=PLATFORMS)(images)
    files.write_atomically(path, bytes(exported.serialize()))


def _read_stablehlo(trained: TrainedModel, path: Path) -> Callable:
    del trained
    return export.deserialize(bytearray(path.read_bytes())).call


def _write_safetensors(trained: TrainedModel, path: Path) -> None:
    pretrained.save(trained.module(), path)
    weight_description.write(trained.needs, path)


def _read_safetensors(trained: TrainedModel, path: Path) -> Callable:
    read = trained_model.from_weights(trained.label, path, dtype=trained.config.dtype)
    return jax.jit(read.logits)


_WRITE_AND_READ: dict[str, tuple[Callable, Callable]] = {
    "stablehlo": (_write_stablehlo, _read_stablehlo),
    "safetensors": (_write_safetensors, _read_safetensors),
}


def _images(side: int) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(0))
    return generator.integers(0, 256, (_CHECKED_IMAGES, side, side, 3), np.uint8)


def _describe(trained: TrainedModel, file_format: str) -> dict[str, Any]:
    config, side, model = trained.config, trained.image_size, trained.model
    inside = file_format == "stablehlo"
    order, mean, std = model.channel_order, model.mean, model.std
    if inside and order == "bgr":  # the program takes RGB and turns it itself
        order, mean, std = "rgb", mean[::-1], std[::-1]
    shorter = max(side, int(side / config.crop_fraction + 1e-6))
    return {
        "format": file_format,
        "model": trained.label,
        "task": config.task,
        "labels": list(trained.logit_names),
        "input": {
            "shape": ["batch", side, side, 3],
            "dtype": "uint8",
            "channels": order.upper(),
            "resize": f"the shorter side to {shorter} pixels, {config.interpolation} with antialiasing"
            f" (as Pillow and torchvision), then the central {side}x{side}",
            "normalization": {
                "inside": inside,
                "formula": "(image / 255 - mean) / std",
                "mean": list(mean),
                "std": list(std),
            },
        },
        "output": {
            "shape": ["batch", trained.model.num_logits],
            "dtype": "float32",
            "is": "logits",
        },
        "overridden": trained.overridden,
        "platforms": list(PLATFORMS) if file_format == "stablehlo" else None,
        "use": _USE[file_format],
        "jax": jax.__version__,
        "decision": trained.record
        and trained.record.decision
        and dataclasses.asdict(trained.record.decision),
        "weights_digest": trained.record and trained.record.weights_digest,
        "dataset": trained.record and dataclasses.asdict(trained.record.dataset),
    }


def define_flags() -> None:
    model_flags.define()
    flags.DEFINE_enum(
        "format",
        "stablehlo",
        FORMATS,
        "The format of the file: the whole program as StableHLO, or the weights as safetensors.",
    )
    flags.DEFINE_string("out", None, "The file to write. By default WORKDIR/export/MODEL.FORMAT.")


def main() -> int:
    startup.use_compilation_cache()
    given = flags.FLAGS
    if not given.out and not given.workdir:
        raise ConfigError("say --out=FILE.")
    if given.out:
        paths.check_writable(given.out)
    trained = model_flags.trained_model()
    name = derived.folder_name(trained.label)
    default = Path(given.workdir or "") / "export" / f"{name}.{given.format}"
    exported = export_model(trained, given.format, given.out or default)
    for remark in trained.remarks:
        print(f"changed: {remark}", file=sys.stderr)
    beside = f"{exported.description}"
    if given.format == "safetensors":
        beside = f"{weight_description.path_of(exported.path)}, {beside}"
    print(
        f"wrote {exported.path} ({exported.size_bytes:,} bytes) and {beside}\n"
        f"read back, its logits differ by at most {exported.largest_difference:.3g}"
        f" (the largest logit is {exported.largest_logit:.3g})"
    )
    return 0


if __name__ == "__main__":
    command.run(main, define_flags)
