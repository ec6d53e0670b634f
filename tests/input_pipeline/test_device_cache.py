"""A split on the devices gives the batches that the host would make of it."""

import io

import jax
import numpy as np
import pytest
from PIL import Image

from input_pipeline import augmentation, datasets, device_cache, loader, on_device_crops
from input_pipeline.errors import DataError

RANDOM = {"crop": "random_resized", "changes": ("flip", "pad_and_crop")}


def both(dataset, side, chosen, *, start_step=0, num_steps=2, batch_size=20):
    """Yields (the host's batch, what the step makes of the drawn one) of each step."""
    augmented = augmentation.create(chosen)
    source = dataset.source("train")
    split = device_cache.read(source, label_shape=dataset.label_shape, image_sizes=[side])
    recipe = on_device_crops.recipe(split, augmented, side)
    cached = on_device_crops.looked_up(
        recipe, on_device_crops.stored(split), on_device_crops.weights(recipe)
    )
    make = jax.jit(on_device_crops.make_examples(recipe))
    options = {
        "image_size": side,
        "batch_size": batch_size,
        "num_steps": num_steps,
        "start_step": start_step,
        "seed": 3,
        "augmentation": augmented,
        "max_unreadable_fraction": 0.2,
    }
    on_host = loader.train_batches(dataset, "train", **options)
    drawn = loader.train_batches(dataset, "train", cached=split, **options)
    for batch, numbers in zip(on_host, drawn, strict=True):
        yield batch, make(numbers | {"cached": cached})
    assert len(on_host.faults) == len(drawn.faults)


def assert_equal(batch, made):
    for name in ("image", "label", "mask"):
        np.testing.assert_array_equal(made[name], batch[name])
        assert made[name].dtype == batch[name].dtype


def folder_of(root, pictures):
    """A dataset of two classes with these files, by name."""
    for name, content in pictures.items():
        path = root / "train" / "ab"[len(name) % 2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return datasets.load(f"folder:{root}")


def encoded(picture, **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("side", "chosen"),
    [
        (8, {}),
        (8, {"changes": ("flip", "pad_and_crop"), "pad_and_crop": {"fraction": 0.3}, "repeats": 3}),
        (11, {"crop": "random_position", "changes": ("pad_and_crop", "flip")}),
        (5, RANDOM),
    ],
)
def test_digits_are_cropped_resized_flipped_and_shifted_to_the_same_bits(digits, side, chosen):
    for batch, made in both(digits, side, chosen):
        assert_equal(batch, made)


def test_after_a_shift_hardly_a_pixel_differs_by_one_level(digits):
    chosen = {"changes": ("shift", "flip"), "shift": {"degrees": 30.0}}
    for batch, made in both(digits, 12, chosen, num_steps=3):
        difference = np.abs(batch["image"].astype(int) - np.asarray(made["image"]))
        assert difference.max() <= 1
        assert difference.mean() < 0.001
        np.testing.assert_array_equal(made["label"], batch["label"])


def test_several_labels_are_kept_too(composed):
    for batch, made in both(composed, 8, {"changes": ("flip",)}, num_steps=1):
        assert batch["label"].shape == (20, 10)
        np.testing.assert_array_equal(made["label"], batch["label"])


def test_jpegs_are_taken_at_the_scale_that_the_host_decodes_and_damaged_ones_replaced(
    tmp_path, photograph
):
    jpegs = {
        f"{'x' * (index % 5)}{index}.jpg": encoded(
            photograph(45, 60, index),
            format="JPEG",
            quality=90,
            subsampling=index % 3,
            progressive=index % 4 == 0,
        )
        for index in range(19)
    }
    dataset = folder_of(tmp_path, jpegs | {"bad.jpg": b"\xff\xd8\xff"})
    scales = set()
    for batch, made in both(dataset, 16, RANDOM):
        assert_equal(batch, made)
    split = device_cache.read(dataset.source("train"), image_sizes=[16])
    batches = loader.train_batches(
        dataset,
        "train",
        cached=split,
        image_size=16,
        batch_size=20,
        num_steps=2,
        seed=3,
        augmentation=augmentation.create(RANDOM),
        max_unreadable_fraction=0.2,
    )
    for batch in batches:
        scales |= set(batch["box"][:, 0].tolist())
    assert scales == set(split.pictures) == {3, 4, 8}


def test_of_a_png_reduced_to_less_than_half_a_pixel_differs_by_one_level(tmp_path, photograph):
    pictures = {
        f"{index}.png": encoded(photograph(50, 45, index), format="PNG") for index in range(20)
    }
    pictures |= {"x" + name: content for name, content in pictures.items()}
    dataset = folder_of(tmp_path, pictures)
    for batch, made in both(dataset, 12, {"crop": "random_side"}, num_steps=3):
        difference = np.abs(batch["image"].astype(int) - np.asarray(made["image"]))
        assert difference.max() <= 1
        assert difference.mean() < 0.02
        np.testing.assert_array_equal(made["label"], batch["label"])


def test_what_is_drawn_depends_on_the_step_alone_and_divides_among_hosts(digits):
    split = device_cache.read(digits.source("train"), image_sizes=[8])

    def drawn(**options):
        options = {"image_size": 8, "batch_size": 12, "num_steps": 210, "seed": 1} | options
        augmented = augmentation.create(RANDOM)
        batches = loader.train_batches(
            digits, "train", cached=split, augmentation=augmented, **options
        )
        return list(batches)

    whole = drawn()
    for batch, resumed in zip(whole[203:], drawn(start_step=203), strict=True):
        for name, numbers in batch.items():
            np.testing.assert_array_equal(resumed[name], numbers)
    parts = [drawn(start_step=203, shard_index=index, shard_count=2) for index in range(2)]
    for batch, first, second in zip(whole[203:], *parts, strict=True):
        for name, numbers in batch.items():
            np.testing.assert_array_equal(np.concatenate([first[name], second[name]]), numbers)


def test_the_memory_that_a_split_takes_is_told_before_it_is_decoded(digits):
    told = []
    split = device_cache.read(digits.source("train"), image_sizes=[8, 9], check_bytes=told.append)
    assert told == [split.labels.nbytes + sum(each.nbytes for each in split.pictures.values())]
    assert told == [1257 * (8 * 8 * 3 + 4)]

    def refuse(needed):
        raise MemoryError(needed)

    with pytest.raises(MemoryError, match=str(told[0])):
        device_cache.read(digits.source("train"), image_sizes=[8], check_bytes=refuse)


def test_pictures_of_two_sizes_and_changes_of_the_host_alone_are_one_sentence(tmp_path, photograph):
    pictures = {f"{index}.png": encoded(photograph(9, 9), format="PNG") for index in range(3)}
    pictures["xx.jpg"] = encoded(photograph(9, 10), format="JPEG")
    source = folder_of(tmp_path, pictures | {"x.png": pictures["0.png"]}).source("train")
    for check in (
        device_cache.check_sizes,
        lambda source: device_cache.read(source, image_sizes=[9]),
    ):
        with pytest.raises(DataError, match=r"of one size alone .* (10 x 9|9 x 9) pixels where"):
            check(source)
    jittered = augmentation.create({"changes": ("flip", "color_jitter")})
    with pytest.raises(DataError, match="'color_jitter' is made on the host alone"):
        device_cache.check_changes(jittered)
