"""Weights that others trained on ImageNet reach on real pictures what they reach in the program they come from."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from models import pretrained

LITE = "mobilenet_v1_0.25_128_quant.tflite"
SQUEEZENET, DEEP_COMPRESSION = (
    "squeezenet1_1-onnxzoo-f32.safetensors",
    "squeezenet1_0-deepcompression-f16.safetensors",
)
SLIM = "mobilenet_v1_0.25_224-tfslim-f32.safetensors"


@pytest.fixture(scope="module")
def validation(shared_folder):
    """A function of a size: 650 of ImageNet's validation pictures, uint8 [650, size, size, 3], and their labels."""

    def read(size: int) -> tuple[np.ndarray, np.ndarray]:
        whole, edge = size * 8 // 7, (size * 8 // 7 - size) // 2
        synsets = (shared_folder / "data" / "imagenet_synsets.txt").read_text().split()
        pictures, labels = [], []
        archive = shared_folder / "data/imagenet_validation_650/validation.tar"
        with tarfile.open(archive) as members:
            for member in filter(tarfile.TarInfo.isfile, members):
                opened = Image.open(io.BytesIO(members.extractfile(member).read())).convert("RGB")
                resized = opened.resize((whole, whole), Image.Resampling.BILINEAR)
                pictures.append(np.asarray(resized.crop((edge, edge, edge + size, edge + size))))
                labels.append(synsets.index(member.name.split("/")[-2]))
        return np.stack(pictures), np.array(labels)

    return read


def top1(model, pictures: np.ndarray, labels: np.ndarray, seeded) -> float:
    """Returns the share of pictures whose most likely class is right, with mean = deviation = 0.5."""
    right = 0
    for start in range(0, len(labels), 130):
        images = pictures[start : start + 130].astype(np.float32) / 127.5 - 1
        logits = seeded.run(model, lambda model, images: model(images), images)
        right += int((np.argmax(logits, -1) == labels[start : start + 130]).sum())
    return right / len(labels)


def test_tf_slims_mobilenet_needs_tensorflows_padding(shared_folder, validation, seeded):
    path = shared_folder / "weights" / SLIM
    pictures = validation(224)
    model = pretrained.load("mobilenet_v1:width=0.25", path)
    assert top1(model, *pictures, seeded) >= 0.65
    padded_alike = pretrained.load("mobilenet_v1:width=0.25,padding=torch", path)
    assert top1(padded_alike, *pictures, seeded) < 0.56


def test_tensorflow_lites_mobilenet_is_dequantized(shared_folder, validation, seeded):
    """TensorFlow Lite's own interpreter reaches 54.46% on pictures that are resized alike."""
    imported = pretrained.import_weights(
        "mobilenet_v1:width=0.25", shared_folder / "weights" / LITE, drop_background=True
    )
    assert imported.model.num_classes == 1000
    stated = {"image_size": 128, "mean": (0.5,) * 3, "std": (0.5,) * 3, "padding": "tensorflow"}
    assert imported.stated == stated
    assert 0.53 <= top1(imported.model, *validation(128), seeded) <= 0.56


def test_squeezenet_gives_the_logits_of_its_source(shared_folder, seeded):
    folder = shared_folder / "weights"
    model = pretrained.load("squeezenet1_1", folder / SQUEEZENET)
    images = np.load(folder / "squeezenet1_1-input.npy").transpose(0, 2, 3, 1)
    wanted = np.load(folder / "squeezenet1_1-output.npy").reshape(1, 1000)
    logits = seeded.run(model, lambda model, images: model(images), images)
    np.testing.assert_allclose(logits, wanted, atol=1e-4 * np.abs(wanted).max())


def test_deep_compressions_squeezenet_is_imported_whole(shared_folder, seeded):
    model = pretrained.load("squeezenet1_0", shared_folder / "weights" / DEEP_COMPRESSION)
    kernels = [each for name, each in pretrained.state_dict(model).items() if each.ndim == 4]
    assert 0.32 < sum(map(np.count_nonzero, kernels)) / sum(each.size for each in kernels) < 0.34
