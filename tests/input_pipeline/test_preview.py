"""The preview shows what the model is fed."""

from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from input_pipeline import augmentation, loader, preview, seeds

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    chosen = augmentation.defaults() | {"random_erasing": 0.0, "mixup": 0.0, "cutmix": 0.0}
    return {
        "train_split": "train",
        "batch_size": 12,
        "seed": 4,
        "mean": (),
        "std": (),
        "max_unreadable_fraction": 0.0,
        "augmentation": chosen | {"changes": ("shift",)},
    }


def test_pictures_are_those_of_the_runs_own_step(config, digits):
    pictures, targets = preview.training_batch(config, digits, 16, step=2)
    batches = loader.train_batches(
        digits,
        "train",
        image_size=16,
        batch_size=12,
        num_steps=3,
        seed=seeds.derive(4, "data"),
        augmentation=augmentation.create({"changes": ("shift",)}),
    )
    *_, last = batches
    np.testing.assert_array_equal(pictures, last["image"])
    np.testing.assert_array_equal(targets.argmax(1), last["label"])
    names = [digits.class_names[label] for label in last["label"]]
    assert preview.captions(targets, digits.class_names) == names


def test_what_the_device_does_is_shown_too(config, digits):
    plain, _ = preview.training_batch(config, digits, 16)
    config["augmentation"] |= {"mixup": 1.0}
    mixed, targets = preview.training_batch(config, digits, 16)
    own = targets.max(1, keepdims=True)[:, :, None, None]
    partner = np.roll(plain, 1, 0)
    shares = {own.flat[0], 1 - own.flat[0]}
    nearest = min(np.abs(share * plain + (1 - share) * partner - mixed).mean() for share in shares)
    assert nearest < 1
    assert any("+" in caption for caption in preview.captions(targets, digits.class_names))


def test_captions_give_the_shares_of_what_was_mixed():
    targets = np.array([[0.0, 1.0, 0.0], [0.7, 0.0, 0.3]])
    assert preview.captions(targets, ("ant", "bee", "cat")) == ["bee", "ant 0.70 + cat 0.30"]


def test_a_grid_has_a_tile_for_each_picture_and_fits_long_names(photograph):
    pictures = np.stack([photograph(32, 32, seed) for seed in range(10)])
    names = ["a", "a very long name of a class that never ends and never fits anywhere"] * 5
    one_row = preview.grid(pictures[:8], names[:8], "title")
    two_rows = preview.grid(pictures, names, "title")
    assert two_rows.width == one_row.width
    assert two_rows.height > one_row.height * 1.7
    # The tile's colors are there, enlarged without blur.
    left, top = preview._GAP, preview._TITLE + preview._GAP
    tile = np.asarray(two_rows)[top : top + preview._TILE, left : left + preview._TILE]
    assert {*map(tuple, tile.reshape(-1, 3))} <= {*map(tuple, pictures[0].reshape(-1, 3))}


def test_the_command_draws_a_configuration_and_tells_a_mistake_in_one_sentence(
    command_here, data_dir, tmp_path
):
    def run(*arguments):
        return command_here("input_pipeline.preview", *arguments)

    out = tmp_path / "preview.png"
    config = ["--config=benchmarks/configs/digits.py", f"--config.data_dir={data_dir}"]
    ended = run(*config, f"--out={out}", "--pictures=6")
    assert ended.returncode == 0, ended.stderr
    assert Image.open(out).size[0] > 800
    wrong = run(*config, "--config.augmentation.crop=centre")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean center" in wrong.stderr
    missing = run("--config=nowhere.py")
    assert missing.returncode == 2
    assert "nowhere.py" in missing.stderr
    assert "Traceback" not in wrong.stderr + missing.stderr
    unwritable = run(*config, f"--out={tmp_path / 'nowhere' / 'preview.png'}")
    assert unwritable.returncode == 2
    assert "nowhere/preview.png' cannot be written (No such file or directory)" in unwritable.stderr
    unknown = run(*config, "--picturs=6")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith(
        "error: Unknown command line flag 'picturs'. Did you mean: pictures"
    )
    assert unknown.stderr.count("\n") == 1


WITH_A_PLUGIN = """
from benchmarks.configs import digits

def get_config():
    config = digits.get_config()
    with config.unlocked():
        config.plugins = ("{plugin}",)
    config.dataset, config.train_split = "shades", "train"
    config.augmentation.crop, config.augmentation.changes = "corner", ("invert",)
    return config
"""


def test_the_command_imports_the_plug_ins_that_a_configuration_names(
    command_here, somebodys_plugin, tmp_path
):
    (tmp_path / "config.py").write_text(WITH_A_PLUGIN.format(plugin=somebodys_plugin))
    done = command_here(
        "input_pipeline.preview",
        f"--config={tmp_path / 'config.py'}",
        f"--config.data_dir={tmp_path}",
        f"--out={tmp_path / 'preview.png'}",
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "config.py").write_text(WITH_A_PLUGIN.format(plugin="nobodys"))
    missing = command_here("input_pipeline.preview", f"--config={tmp_path / 'config.py'}")
    assert missing.returncode == 2
    assert missing.stderr.startswith("error: there is no module nobodys here")
    assert "which config.plugins names" in missing.stderr


def test_options_of_a_plug_in_that_the_configuration_names_have_their_defaults(somebodys_plugin):
    known = ConfigDict(augmentation.defaults())
    config = ConfigDict({"plugins": (somebodys_plugin,), "augmentation": known})
    config.augmentation.shift.degrees = 3.0
    preview.import_plugins(config)
    assert config.augmentation.invert.probability == 1.0
    assert config.augmentation.shift.degrees == 3.0
    preview.import_plugins(ConfigDict({"augmentation": known}))


def test_a_flag_sets_the_option_of_a_plug_in_that_another_flag_names(
    command_here, somebodys_plugin, data_dir, tmp_path
):
    done = command_here(
        "input_pipeline.preview",
        "--config=benchmarks/configs/digits.py",
        f"--config.data_dir={data_dir}",
        f"--plugins={somebodys_plugin}",
        "--config.augmentation.changes=('invert',)",
        "--config.augmentation.invert.probability=0.5",
        f"--out={tmp_path / 'preview.png'}",
    )
    assert done.returncode == 0, done.stderr
