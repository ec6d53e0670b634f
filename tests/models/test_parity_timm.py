"""timm's state dicts load by their own names and give timm's logits."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from models import pretrained

pytestmark = pytest.mark.parity

NAMES = {
    "mobilenetv1_100": "mobilenet_v1:padding=torch,epsilon=1e-05",
    "mobilenetv1_125": "mobilenet_v1:width=1.25,padding=torch,epsilon=1e-05",
    "mobilenetv2_100": "mobilenet_v2",
    "mobilenetv2_140": "mobilenet_v2:width=1.4",
    "mobilenetv3_large_100": "mobilenet_v3_large",
    "mobilenetv3_small_100": "mobilenet_v3_small",
    "resnet18": "resnet18",
    "vgg11_bn": "vgg11_bn",
    "inception_v3": "inception_v3:auxiliary=false,transform_input=false",
}


# Padded as TensorFlow pads; at 97 pixels, where every side that is halved is odd, both paddings would agree.
PADDED = {
    "mobilenetv1_100": "mobilenet_v1",
    "mobilenetv2_100": "mobilenet_v2:padding=tensorflow,epsilon=0.001",
    "mobilenetv3_large_100": "mobilenet_v3_large:padding=tensorflow,epsilon=0.001",
    "mobilenetv3_small_100": "mobilenet_v3_small:padding=tensorflow,epsilon=0.001",
}


@pytest.fixture(scope="module")
def timm(torchvision):
    return pytest.importorskip("timm", reason="this parity needs timm")


@pytest.mark.parametrize("name", NAMES)
def test_a_timm_file_loads_and_gives_timms_logits(name, timm, torch, seeded, tmp_path):
    theirs = timm.create_model(name, num_classes=10).eval()
    state = {
        key: torch.from_numpy(seeded.tensor(key, tuple(value.shape)))
        for key, value in theirs.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    theirs.load_state_dict(state, strict=False)
    arrays = {key: value.numpy() for key, value in theirs.state_dict().items()}
    save_file(arrays, tmp_path / "model.safetensors", metadata={"format": "pt"})
    torch.save(theirs.state_dict(), tmp_path / "model.pth")

    images = seeded.images(2, 97)
    with torch.no_grad():
        channels_first = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        expected = theirs(channels_first).numpy()
    ours = pretrained.load(NAMES[name], tmp_path / "model.safetensors")
    logits = np.asarray(seeded.run(ours, lambda model, images: model(images), images))
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()

    same = pretrained.state_dict(pretrained.load(NAMES[name], tmp_path / "model.pth"))
    assert all(np.array_equal(a, same[k]) for k, a in pretrained.state_dict(ours).items())


@pytest.mark.parametrize("size", [96, 110])
@pytest.mark.parametrize("name", PADDED)
def test_timms_networks_of_tensorflows_padding_give_the_same_logits(
    name, size, timm, torch, seeded, tmp_path
):
    theirs = timm.create_model(name, num_classes=10, pad_type="same", bn_eps=1e-3).eval()
    arrays = {
        key: seeded.tensor(key, tuple(value.shape))
        for key, value in theirs.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    tensors = {key: torch.from_numpy(value) for key, value in arrays.items()}
    theirs.load_state_dict(tensors, strict=False)
    save_file(arrays, tmp_path / "model.safetensors", metadata={"format": "pt"})
    images = seeded.images(2, size)
    with torch.no_grad():
        channels_first = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        expected = theirs(channels_first).numpy()
    ours = pretrained.load(PADDED[name], tmp_path / "model.safetensors")
    logits = np.asarray(seeded.run(ours, lambda model, images: model(images), images))
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "older"])
def test_files_that_pytorch_writes_are_read_and_ours_are_read_by_it(legacy, torch, tmp_path):
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    written = {
        "plain": base,
        "transposed": base.T,
        "part": base[1:3, ::2],
        "shared": base[2],
        "half": base.half(),
        "bfloat16": base.bfloat16(),
        "count": torch.tensor(7),
        "parameter": torch.nn.Parameter(base + 1),
        "empty": torch.zeros(0, 3),
    }
    path = tmp_path / "tensors.pth"
    torch.save(written, path, _use_new_zipfile_serialization=not legacy)
    tensors = pretrained.read(path)[0]
    assert list(tensors) == list(written)
    for key, tensor in written.items():
        np.testing.assert_array_equal(
            tensors[key].astype(np.float32), tensor.detach().float().numpy()
        )

    pretrained.torch_files.write(tensors, tmp_path / "again.pth")
    again = torch.load(tmp_path / "again.pth", weights_only=True)
    for key, tensor in written.items():
        assert again[key].dtype == tensor.dtype
        assert torch.equal(again[key], tensor.detach())
