"""What is shown of a network is what the network computes, and the page needs nothing but itself."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
from benchmarks.config.fields import default_config
from benchmarks.errors import ConfigError
from benchmarks.explain import attribution, explain, features
from benchmarks.explain import page as explain_page
from benchmarks.inference import trained_model
from benchmarks.steps.pure_model import split_module
from input_pipeline import datasets, loader


@pytest.fixture(scope="module")
def trained(short_run):
    return trained_model.from_run(short_run[0])


@pytest.fixture(scope="module")
def explanation(trained):
    return explain(trained, channels=3, pictures=2, examples=100, steps=64)


@pytest.fixture(scope="module")
def seen(data_dir):
    """The first 100 pictures of the training split, uint8 [100, 32, 32, 3]."""
    digits = datasets.load("digits", data_dir)
    batches = loader.eval_batches(digits, "train", image_size=32, batch_size=100)
    return next(batches)["image"]


def stem(trained, images):
    """Returns the only stage's output [batch, 8, 8, channels]."""
    outputs = trained.module().stage_outputs(trained.model.normalize(jnp.asarray(images)))
    return np.asarray(outputs["stem"])


def test_the_channels_are_those_that_the_picture_excites_most(trained, explanation):
    (stage,) = explanation.stages
    (maps,) = stem(trained, explanation.picture[None])
    order = np.argsort(-maps.mean((0, 1)), kind="stable")[:3]
    assert [channel.index for channel in stage.channels] == order.tolist()
    for channel in stage.channels:
        np.testing.assert_allclose(channel.map, maps[..., channel.index], rtol=1e-4, atol=1e-5)
    assert stage.shape == (8, 8, 8)


def test_the_pictures_are_those_of_the_dataset_that_excite_a_channel_most(
    trained, explanation, seen
):
    peaks = stem(trained, seen).max((1, 2))
    for channel in explanation.stages[0].channels:
        order = np.argsort(-peaks[:, channel.index], kind="stable")[:2]
        np.testing.assert_allclose(channel.peaks, peaks[order, channel.index], rtol=1e-4)
        assert (channel.pictures[0] == seen[order[0]]).all()


def test_a_synthetic_input_excites_its_channel_more_than_any_picture(trained, explanation, seen):
    means = stem(trained, seen).mean((1, 2))
    for channel in explanation.stages[0].channels:
        reached = stem(trained, channel.synthetic[None])[0, ..., channel.index]
        assert reached.mean() > means[:, channel.index].max()
        assert channel.synthetic_peak == pytest.approx(reached.max(), rel=1e-4)


def test_gray_pictures_get_gray_synthetic_inputs(explanation):
    synthetic = explanation.stages[0].channels[0].synthetic
    assert synthetic.shape == (32, 32, 3)
    assert (synthetic == synthetic[..., :1]).all()
    assert synthetic.std() > 5


def test_grad_cam_weighs_maps_by_the_mean_gradient(trained, explanation):
    """A dense layer's gradient by the maps is its kernel."""
    look = attribution.look(trained, explanation.picture)
    gradient = np.asarray(trained.params["fc"]["kernel"])[:, look.logit].reshape(8, 8, 8)
    expected = np.maximum((look.maps["stem"] * gradient.mean((0, 1))).sum(-1), 0)
    np.testing.assert_allclose(look.cams["stem"], expected, rtol=1e-4, atol=1e-5)
    assert explanation.labels[0] == trained.logit_names[look.logit]


def test_occlusion_of_what_the_network_does_not_look_at_costs_nothing(trained, seen):
    kernel = np.array(trained.params["fc"]["kernel"]).reshape(8, 8, 8, 10)
    kernel[:, :5] = 0  # columns 0 to 4 of the maps, which see pixels 0 to 17
    blind = {"kernel": jnp.asarray(kernel.reshape(-1, 10)), "bias": trained.params["fc"]["bias"]}
    half_blind = dataclasses.replace(trained, params=trained.params | {"fc": blind})
    lost = attribution.occlusion(half_blind, seen[0], 0)
    assert np.abs(lost[:, :8]).max() < 1e-6  # squares of 8 pixels
    assert np.abs(lost[:, 20:]).max() > 1e-3


def test_first_filters_are_the_kernels_that_read_the_picture(trained):
    kernel = np.asarray(trained.params["conv"]["kernel"])
    filters = features.first_filters(trained)
    assert filters.shape == (8, 3, 3, 3)
    assert (filters[5] == kernel[..., 5]).all()


@pytest.mark.parametrize("name", ["alexnet_2012", "googlenet", "mobilenet_v2", "squeezenet1_0"])
def test_models_have_filters_that_read_the_picture(name):
    assert features.first_kernel(models.create_abstract(name, 7)).shape[2] == 3


@pytest.mark.parametrize("name", ["alexnet_2012", "squeezenet1_1"])
def test_stages_are_explained_in_their_order(name):
    model = models.create_abstract(name, 7)
    side = max(32, models.info(name).min_size)
    pure, params, batch_stats = split_module(model, (0.5,) * 3, (0.5,) * 3)
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.uint8)
    look = functools.partial(attribution.outputs_and_cams, pure)
    _, maps, cams = jax.eval_shape(look, params, batch_stats, images)
    assert set(maps) == set(cams) == set(model.stages())
    for stage, output in maps.items():
        assert cams[stage].shape == output.shape[:3]


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_every_model_is_explained(name, data_dir):
    config = default_config()
    config.model, config.data_dir = name, data_dir
    model = models.create(name, 10)
    pure, params, batch_stats = split_module(model, (0.5,) * 3, (0.5,) * 3)
    trained = trained_model.TrainedModel(config, pure, params, batch_stats, "fresh weights")
    explanation = explain(trained, channels=1, pictures=1, examples=2, steps=2)
    assert [stage.name for stage in explanation.stages] == list(model.stages())
    assert len(explain_page.render(explanation)) < 4e6


def test_the_page_needs_nothing_else(explanation):
    shown = dataclasses.replace(explanation, labels=("<script>", *explanation.labels[1:]))
    pictures = {}
    page = explain_page.render(shown, pictures)
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert "http" not in page
    assert "<script>" not in page
    assert page.count("<img") == len(pictures) == 3 + 8 + 1 + 3 * (2 + 2)
    assert all(data.startswith(b"\x89PNG") for data in pictures.values())
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    for target in re.findall(r'href="#([^"]*)"', page):
        assert f'id="{target}"' in page


def test_the_page_says_what_was_changed(explanation, tmp_path):
    changed = dataclasses.replace(explanation, remarks=("std=1 in place of 2, which <x> says",))
    page, *_ = explain_page.write(changed, tmp_path)
    assert " Changed: std=1 in place of 2, which &lt;x&gt; says.</p>" in page.read_text()


def test_a_picture_of_ones_own_is_explained_without_any_dataset(trained, tmp_path, monkeypatch):
    path = tmp_path / "own.png"
    path.write_bytes(
        explain_page.encode_png(np.tile(np.arange(48, dtype=np.uint8)[:, None, None], (1, 64, 3)))
    )
    monkeypatch.setattr(datasets, "load", None)
    explanation = explain(trained, path, channels=1, pictures=1, examples=0, steps=64)
    assert explanation.picture_name == "own.png"
    assert explanation.stages[0].channels[0].pictures.shape == (0, 32, 32, 3)
    assert explanation.picture[-1, 0, 0] > explanation.picture[0, 0, 0]
    with pytest.raises(ConfigError, match=r"nowhere.png cannot be read"):
        explain(trained, tmp_path / "nowhere.png")


def test_the_command_writes_the_page_and_its_pictures(command_here, short_run, tmp_path):
    arguments = ["--channels=1", "--pictures=1", "--examples=8", "--steps=1", "--pngs"]
    ended = command_here(
        "benchmarks.explain", f"--workdir={short_run[0]}", f"--out={tmp_path}", *arguments
    )
    assert ended.returncode == 0, ended.stderr
    assert "explain.html" in ended.stdout
    assert (tmp_path / "explain.html").stat().st_size < 1e6
    assert (tmp_path / "pngs" / "decision" / "grad-cam.png").exists()
    assert len([*(tmp_path / "pngs" / "filters").iterdir()]) == 8
