"""Published figures stand beside a ranking, marked and sourced, and never in it."""

import csv
import io
import json

import pytest

import models
from results import RecordError, leaderboard, records
from results.rankings import reported, rows
from results.tables import markdown

FILE = """dataset,model,image_size,top1,top5,source
digits,a,32,0.75,,somebody's table 1
,b,,0.5,0.625,another
cifar10,a,32,0.99,,elsewhere
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "reported.csv"
        path.write_text(text)
        return path

    return write


def on_imagenet(run, name, seed, top1, options=None, image_size=224, **config):
    record = run(name, seed, top1)
    return record.__class__(
        **{
            **vars(record),
            "dataset": records.Dataset("imagenet2012", "5.1.0", "single_label", "a", "b", "c"),
            "model": records.Model(name, options or {}, image_size, 1000),
            "config": {**record.config, **config},
        }
    )


def test_imagenets_figures_are_those_the_registry_has():
    known = {
        (
            models.label(name, each.options),
            each.image_size or info.input_size,
            *(each.top1, each.top5, each.source),
        )
        for name in models.names()
        for info in [models.info(name)]
        for each in filter(None, (info.reported, *info.also_reported))
    }
    in_file = {
        (each.model, each.image_size, each.metrics["top1"], each.metrics.get("top5"), each.source)
        for each in reported.read(reported.IMAGENET)
    }
    assert known == in_file


def test_imagenets_models_are_named_as_records_name_them():
    for each in reported.read(reported.IMAGENET):
        assert models.label(*models.parse(each.model)) == each.model


@pytest.mark.parametrize(
    ("width", "top1s"),
    [("", (0.709, 0.700, 0.680, 0.652)), (":width=0.25", (0.498, 0.477, 0.455, 0.415))],
)
def test_mobilenet_v1_has_tf_slims_figure_for_each_resolution(width, top1s):
    by_size = {
        each.image_size: each.metrics["top1"]
        for each in reported.read(reported.IMAGENET)
        if each.model == f"mobilenet_v1{width}" and each.source.startswith("TF-slim")
    }
    assert by_size == dict(zip((224, 192, 160, 128), top1s, strict=True))


def test_an_imagenet_ranking_has_the_published_figures_of_its_models(run):
    (table,) = rows.summarize([on_imagenet(run, "resnet50", s, 0.7) for s in range(2)])
    assert [each.metrics["top1"] for each in table.reported] == [0.80858, 0.7613]
    text = markdown.to_markdown([table])
    line = "| reported | `resnet50` | 224 | 76.13 | 92.86 | 70.00 | torchvision IMAGENET1K\\_V1 |"
    assert line in text.split("### Reported")[1]


@pytest.mark.parametrize(
    ("options", "image_size", "top1s"),
    [
        ({}, 224, [0.709, 0.706, 0.704]),
        ({}, 160, [0.68]),
        ({"width": 0.25}, 224, [0.506, 0.498]),
        ({"width": 0.25}, 128, [0.415]),
        ({"width": 0.3}, 224, []),
        ({"width": 0.25}, 32, []),
        ({"padding": "torch", "epsilon": 1e-5}, 224, [0.75382]),
        ({"padding": "torch", "epsilon": 1e-5, "width": 0.25}, 224, []),
    ],
    ids=str,
)
def test_a_figure_stands_beside_its_own_options_and_size_alone(run, options, image_size, top1s):
    trained = on_imagenet(run, "mobilenet_v1", 0, 0.5, options, image_size)
    (table,) = rows.summarize([trained])
    assert [each.metrics["top1"] for each in table.reported] == top1s
    assert {each.image_size for each in table.reported} <= {image_size}


def test_a_figure_belongs_to_the_size_of_evaluation(run):
    trained = on_imagenet(run, "resnet50", 0, 0.7, image_size=176, eval_image_size="224")
    (table,) = rows.summarize([trained])
    assert [each.metrics["top1"] for each in table.reported] == [0.80858, 0.7613]
    assert "| 76.13 | 92.86 | 70.00 | torchvision" in markdown.to_markdown([table])
    (elsewhere,) = rows.summarize([on_imagenet(run, "resnet50", 0, 0.7, image_size=176)])
    assert elsewhere.reported == ()


def test_reported_rows_are_not_ranked_and_not_in_the_csv(run):
    (table,) = rows.summarize([on_imagenet(run, "resnet50", 0, 0.7)])
    (row,) = csv.DictReader(io.StringIO(leaderboard.to_csv([table])))
    assert (row["rank"], row["top1"]) == ("1", "0.7")


def test_a_users_figures_stand_beside_the_rankings_of_their_dataset(run, write):
    published = reported.read(write(FILE))
    (table,) = rows.summarize([run("a", 0, 0.8)], reported=published)
    assert [(each.model, each.source) for each in table.reported] == [
        ("a", "somebody's table 1"),
        ("b", "another"),
    ]


def test_a_ranking_elsewhere_has_no_published_figures(run):
    (table,) = rows.summarize([run("resnet50", 0, 0.8)])
    assert table.reported == ()
    assert "Reported" not in markdown.to_markdown([table])


def test_command_takes_a_file_and_puts_it_into_every_form(run, write, tmp_path, command_here):
    records.write(run("a", 0, 0.8), records.record_path(tmp_path, "a-0"))
    path = write(FILE)
    ended = command_here(
        "results.leaderboard", tmp_path, f"--reference={path}", f"--out={tmp_path}"
    )
    assert ended.returncode == 0
    assert "Reported elsewhere" in ended.stdout
    assert "somebody's table 1" in ended.stdout
    document = json.loads((tmp_path / "leaderboard.json").read_text())
    (first, second) = document["rankings"][0]["reported"]
    assert (first["model"], first["metrics"], second["image_size"]) == ("a", {"top1": 0.75}, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the column 'model' is missing"),
        ("model,top1\na,0.5\n", "the column 'source' is missing"),
        ("model,source,top-1\n", "the column 'top-1' is unknown"),
        ("model,source,model\n", "the column 'model' is there twice"),
        (
            "model,source,top1\na,b,76.1\n",
            "line 2: the field 'top1' must be a fraction from 0 to 1",
        ),
        ("model,source,top1\na,b,nan\n", "line 2: the field 'top1' must be a fraction from 0 to 1"),
        ("model,source,macs\na,b,1.5G\n", "the field 'macs' must be a whole number above 0"),
        ("model,source,top1\na,b\n", "line 2: it has 2 fields, not 3"),
        ("model,source\n,b\n", "line 2: the field 'model' is empty"),
    ],
)
def test_a_wrong_file_is_named_with_its_line_and_status_2(
    run, write, tmp_path, command_here, text, sentence
):
    records.write(run("a", 0, 0.8), records.record_path(tmp_path, "a-0"))
    path = write(text)
    ended = command_here("results.leaderboard", tmp_path, f"--reference={path}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: {path}")
    assert sentence in ended.stderr


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(RecordError, match=r"absent\.csv: it cannot be read"):
        reported.read(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model,source\na," + "x" * 200_000 + "\n", "line 2: it is not CSV as it should be (field"),
        ('model,source\na,"open\nb,c\n', "line 3: it is not CSV as it should be (unexpected end"),
        ('model,source\na,"b"c\n', "line 2: it is not CSV as it should be"),
        ("", "the column 'model' is missing"),
    ],
    ids=["huge", "open quote", "text after a quote", "empty"],
)
def test_a_file_that_is_no_csv_is_one_sentence(write, text, sentence):
    with pytest.raises(RecordError) as caught:
        reported.read(write(text))
    assert sentence in str(caught.value)


def test_a_huge_value_is_not_repeated_whole(write):
    with pytest.raises(RecordError) as caught:
        reported.read(write("model,source,top1\na,b," + "9" * 100_000 + "\n"))
    assert len(str(caught.value)) < 300
    with pytest.raises(RecordError) as caught:
        reported.read(write("model,source," + "x" * 100_000 + "\n"))
    assert "the column 'xxx" in str(caught.value)
    assert len(str(caught.value)) < 600
