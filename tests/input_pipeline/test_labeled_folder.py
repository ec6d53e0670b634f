"""A user's own pictures with any number of labels each."""

import numpy as np
import pytest
from PIL import Image

from input_pipeline import DataError, datasets, loader

_ROWS = {
    "train": "file,cat,dog,hen\na.png,1,0,1\nsub/b.png,0,0,0\nc.png,0,1,1\n",
    # As a spreadsheet writes it.
    "val": "\ufefffile,cat,dog,hen\r\nc.png,0,1,0\r\n\r\n",
}


@pytest.fixture
def pictures(tmp_path):
    for split, rows in _ROWS.items():
        (tmp_path / split / "sub").mkdir(parents=True)
        (tmp_path / split / "labels.csv").write_text(rows, encoding="utf-8", newline="")
        for number, name in enumerate(("a", "sub/b", "c")):
            Image.new("RGB", (6, 6), (100 * number,) * 3).save(tmp_path / split / f"{name}.png")
    return tmp_path


def test_a_picture_has_the_labels_of_its_row(pictures):
    dataset = datasets.load(f"folder:{pictures}")
    assert (dataset.class_names, dataset.multi_label) == (("cat", "dog", "hen"), True)
    assert dataset.split_sizes == {"train": 3, "val": 1}
    (batch,) = loader.eval_batches(dataset, "train", image_size=6, batch_size=3)
    labels = dict(zip(batch["image"][:, 0, 0, 0].tolist(), batch["label"].tolist(), strict=True))
    assert labels == {0: [1, 0, 1], 100: [0, 0, 0], 200: [0, 1, 1]}


def test_one_label_can_be_told_from_the_rest(pictures):
    source = datasets.load(f"folder:{pictures}", positive_class="hen").source("train")
    labels = {source.describe(index)[-5:]: source[index]["label"] for index in range(3)}
    assert labels == {"a.png": 1, "b.png": 0, "c.png": 1}


def test_the_version_follows_the_tables(pictures):
    before = datasets.load(f"folder:{pictures}").version
    assert datasets.load(f"folder:{pictures}").version == before
    table = pictures / "train" / "labels.csv"
    table.write_text(table.read_text().replace("a.png,1", "a.png,0"))
    assert datasets.load(f"folder:{pictures}").version != before


def test_workers_read_them_too(pictures):
    dataset = datasets.load(f"folder:{pictures}")
    options = {"image_size": 6, "batch_size": 3}
    (here,) = loader.eval_batches(dataset, "train", **options)
    (there,) = loader.eval_batches(dataset, "train", **options, num_workers=1)
    np.testing.assert_array_equal(here["label"], np.array(there["label"]))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("", "the first row of .*train/labels.csv.* has to be file and the names"),
        ("name,cat,dog,hen\n", "the first row of"),
        ("file\na.png\n", "the first row of"),
        ("file,cat,cat\na.png,1,1\n", "each once"),
        ("file,cat,dog,hen\n", "names no pictures"),
        ("file,cat,dog,hen\na.png,1,0\n", "row 2 of .* has to be a file and 3 times 0 or 1"),
        ("file,cat,dog,hen\na.png,1,0,0\nb.png,1,0,2\n", "row 3 of"),
        ("file,cat,hen,dog\na.png,1,0,0\n", "not those of train, in the same order"),
        (b"file,cat,dog,hen\n\xff.png,1,0,0\n", "cannot be read .*; save it as UTF-8"),
        ("file,cat,dog,hen\na.png,1,0,0\n".encode("utf-16-le"), "save it as CSV in UTF-8"),
        ("file;cat;dog;hen\na.png;1;0;0\n", "separated by commas"),
        ('file,cat,dog,hen\na.png,1,0,0\n"c.png,1,0,0\n', "from line 3 on .*quotation mark"),
        ('file,cat,dog,hen\n"a.png,1,0,0\n"c.png",1,0,0\n', "from line 2 on .*quotation mark"),
        ("file,cat,dog,hen\na.png,1,0,0\n\n./a.png,1,1,0\n", "rows 2 and 4 .*different labels"),
        ("file,cat,dog,hen\n../val/a.png,1,0,0\n", "row 2 .*names '../val/a.png', .*not in this"),
        ("file,cat,dog,hen\nsub/../../val/a.png,1,0,0\n", "row 2 .*not in this split"),
        ("file,cat,dog,hen\n/a.png,1,0,0\n", "row 2 .*not in this split"),
        ("file,cat,dog,hen\na.png,1,0," + "0" * 200_000 + "\n", "from line 2 on .*field limit"),
        (None, "cannot be read .*give every split one"),
    ],
)
def test_a_table_that_is_none_is_one_sentence(pictures, table, sentence):
    path = pictures / "train" / "labels.csv"
    if table is None:
        path.unlink()
    else:
        path.write_bytes(table.encode() if isinstance(table, str) else table)
    with pytest.raises(DataError, match=sentence):
        datasets.load(f"folder:{pictures}")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_that_a_spreadsheet_writes_are_read(pictures, encoding):
    table = 'file,cat,dog,hen\r\n"a.png",1,0,1\r\nsub/b.png,0,0,0\r\na.png,1,0,1\r\n'
    (pictures / "train" / "labels.csv").write_bytes(table.encode(encoding))
    dataset = datasets.load(f"folder:{pictures}")
    assert dataset.class_names == ("cat", "dog", "hen")
    assert dataset.split_sizes["train"] == 3


def test_a_table_in_a_hidden_folder_is_none(tmp_path):
    (tmp_path / "train" / "cat").mkdir(parents=True)
    Image.new("RGB", (6, 6)).save(tmp_path / "train" / "cat" / "a.png")
    (tmp_path / ".old").mkdir()
    (tmp_path / ".old" / "labels.csv").write_text(_ROWS["train"])
    assert not datasets.load(f"folder:{tmp_path}").multi_label


def test_a_picture_that_is_not_there_is_named(pictures):
    (pictures / "val" / "c.png").unlink()
    dataset = datasets.load(f"folder:{pictures}")
    with pytest.raises(DataError, match=r"val/c\.png cannot be read"):
        list(loader.eval_batches(dataset, "val", image_size=6, batch_size=1))
