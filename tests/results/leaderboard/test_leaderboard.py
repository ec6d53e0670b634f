"""The tables: what they say of known records, that they hide no failure, and never depend on order."""

import csv
import dataclasses
import io
import random
import subprocess
import sys

import pytest
from rich.console import Console

from results import RecordError, leaderboard, records
from results.rankings import rows
from results.records import Failure, Metrics, Model, Throughput, Timings
from results.tables import headings, markdown

FIRST_COLUMNS = (
    "rank,model,image_size,parameters,macs,seeds,top1,top1_low,top1_high,top5,"
    "train_images_per_second,infer_images_per_second,train_seconds,status"
)
DIVERGED = {"status": "diverged", "metrics": Metrics(), "failure": Failure(12, float("nan"))}
OUT_OF_MEMORY = {"status": "out_of_memory", "metrics": Metrics(), "error": "No room for 2 GiB."}


@pytest.fixture
def three(run):
    """A model that leads, one that cannot be told from it, and one that fails on every seed."""
    return [
        *(run("leader", seed, top1) for seed, top1 in enumerate([0.90, 0.92, 0.94])),
        *(run("equal", seed, top1) for seed, top1 in enumerate([0.91, 0.90, 0.92])),
        *(run("behind", seed, top1) for seed, top1 in enumerate([0.50, 0.51, 0.52])),
        *(run("broken", seed, **DIVERGED) for seed in range(3)),
    ]


def rows_of(run_records) -> list[dict[str, str]]:
    text = leaderboard.to_csv(rows.summarize(run_records))
    return list(csv.DictReader(io.StringIO(text)))


def printed(run_records, width=80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    leaderboard.print_table(run_records, console)
    return console.file.getvalue()


def write_all(run_records, folder) -> None:
    for record in run_records:
        records.write(record, records.record_path(folder, record.run_id))


def test_csv_begins_with_the_agreed_columns(three):
    header = leaderboard.to_csv(rows.summarize(three)).splitlines()[0]
    assert header.startswith(f"{FIRST_COLUMNS},")
    assert len(set(header.split(","))) == len(header.split(","))


def test_csv_holds_means_fractions_and_intervals(three):
    row = rows_of(three)[0]
    assert {name: row[name] for name in ("rank", "model", "image_size", "seeds", "status")} == {
        "rank": "1",
        "model": "leader",
        "image_size": "32",
        "seeds": "3",
        "status": "completed",
    }
    assert (row["parameters"], row["macs"], row["top5"]) == ("1234567", "37000000", "1")
    assert float(row["top1"]) == pytest.approx(0.92)
    # 0.92 ± t(0.975, 2) * 0.02 / sqrt(3) = 0.92 ± 0.0496828
    assert float(row["top1_low"]) == pytest.approx(0.8703172, abs=1e-7)
    assert float(row["top1_high"]) == pytest.approx(0.9696828, abs=1e-7)
    assert float(row["top1_std"]) == pytest.approx(0.02)
    assert (row["train_images_per_second"], row["train_seconds"]) == ("1400", "8.5")
    assert (row["budget_kind"], row["budget_amount"]) == ("examples", "12000")
    assert row["run_ids"] == "leader-0 leader-1 leader-2"


def test_ties_share_a_rank_and_failures_come_last_without_one(three):
    assert [(row["rank"], row["model"]) for row in rows_of(three)] == [
        ("1", "leader"),
        ("1", "equal"),
        ("3", "behind"),
        ("", "broken"),
    ]


def test_whole_numbers_in_the_csv_are_exact(run):
    record = run("a", 0, 0.5)
    budget = dataclasses.replace(record.budget, amount=1_281_167.0 * 90)
    (row,) = rows_of([dataclasses.replace(record, budget=budget)])
    assert row["budget_amount"] == "115305030"


def test_one_seed_has_a_rank_and_no_interval(run):
    rows = rows_of([run("a", 0, 0.8), run("b", 0, 0.9), run("c", 0, 0.9)])
    assert [(row["rank"], row["model"]) for row in rows] == [("1", "b"), ("1", "c"), ("3", "a")]
    assert {(row["top1_low"], row["top1_high"], row["top1_std"]) for row in rows} == {("", "", "")}


def test_one_seed_says_so(run):
    records_ = [run("a", 0, 0.8)]
    assert "one seed, no interval" in markdown.to_markdown(rows.summarize(records_))
    assert "one seed, no interval" in printed(records_)


def test_some_models_with_one_seed_are_said_to_have_no_interval(three, run):
    assert "one seed, no interval" not in printed(three, 200)
    assert "A mean without ±: one seed, no interval." in printed([*three, run("a", 0, 0.8)], 200)


@pytest.mark.parametrize(
    ("failed", "status"),
    [
        ([DIVERGED], "diverged at step 12"),
        ([DIVERGED | {"failure": None}], "diverged"),
        ([OUT_OF_MEMORY], "out of memory"),
        ([OUT_OF_MEMORY, OUT_OF_MEMORY], "2 of 2 failed: out of memory"),
        ([DIVERGED, DIVERGED | {"failure": Failure(7)}], "2 of 2 failed: diverged at steps 7, 12"),
        ([DIVERGED, OUT_OF_MEMORY], "2 of 2 failed: diverged at step 12; out of memory"),
        ([{"status": "failed", "metrics": Metrics()}] * 2, "2 of 2 failed"),
        ([{"status": "completed", "metrics": Metrics()}], "no test result"),
    ],
)
def test_a_model_that_never_completed_says_why_and_keeps_its_size(run, failed, status):
    (row,) = rows_of([run("a", seed, **changes) for seed, changes in enumerate(failed)])
    assert row["status"] == status
    assert (row["rank"], row["top1"], row["seeds"]) == ("", "", "0")
    assert row["parameters"] == "1234567"


def test_a_failed_seed_is_counted_and_not_averaged(run):
    # A run that ran out of memory may still have left numbers: they are not results.
    half_done = OUT_OF_MEMORY | {"metrics": Metrics({}, {"top1": 0.1})}
    (row,) = rows_of([run("a", 0, 0.8), run("a", 1, 0.9), run("a", 2, **half_done)])
    assert row["status"] == "1 of 3 failed: out of memory"
    assert (row["seeds"], row["runs"], row["rank"]) == ("2", "3", "1")
    assert float(row["top1"]) == pytest.approx(0.85)


def test_a_seed_run_twice_counts_once(run):
    runs = [run("a", 0, 0.8), run("a", 0, 0.9, run_id="again"), run("a", 1, 0.65)]
    (row,) = rows_of(runs)
    assert (row["seeds"], row["runs"]) == ("2", "3")
    assert float(row["top1"]) == pytest.approx(0.75)  # (0.85 + 0.65) / 2


def test_options_and_image_size_make_different_rows(run, make):
    small = make("small", model=Model("a", {}, 24, 10))
    rows = rows_of([run("a", 0, 0.9), small, run("a", 0, 0.9, {"width": 0.5}, run_id="narrow")])
    assert {(row["model"], row["image_size"]) for row in rows} == {
        ("a", "32"),
        ("a", "24"),
        ("a:width=0.5", "32"),
    }


def test_a_speed_is_not_averaged_over_devices(run):
    one = run("a", 0, 0.9, hardware={"device_kind": "H200"}, throughput=Throughput(3000.0))
    two = run("a", 1, 0.9, hardware={"device_kind": "T4"}, throughput=Throughput(300.0))
    (row,) = rows_of([one, two])
    assert (row["train_images_per_second"], row["train_seconds"]) == ("", "")
    assert row["device"] == "H200 + T4"
    assert rows_of([one])[0]["train_images_per_second"] == "3000"


def test_what_was_not_measured_is_empty(run):
    nothing = {"throughput": Throughput(), "timings": Timings(), "hardware": {}, "software": {}}
    record = run("a", 0, 0.9, **nothing)
    (row,) = rows_of([record])
    assert (row["train_images_per_second"], row["train_seconds"], row["device"]) == ("", "", "")
    assert "Machine: unknown" in printed([record])


def test_markdown_reads_as_percent_with_units(three):
    text = markdown.to_markdown(rows.summarize(three))
    row = "| 1 | `leader` | 32 | 1.23M | 37.0M | 3 | 92.00 ± 4.97 |  | 80 | 1-2 | 100.00 | 1,400 |"
    assert row in text
    # differences 0.01, -0.02, -0.02: -0.01 ± t(0.975, 2) * 0.0173205 / sqrt(3) = -0.01 ± 0.0430265
    assert "3 | 91.00 ± 2.48 | -1.00 ± 4.30 | 20 | 1-2 | 100.00 |" in text
    assert "## digits 1.0.0 (test): 12,000 examples, batch size 64, common recipe" in text
    assert "trained on train (1,200 examples), reported on test (300 examples)" in text
    assert "- `broken`: 3 of 3 failed: diverged at step 12" in text


def test_markdown_rows_have_the_cells_of_their_header_whatever_a_name_holds(run):
    record = run("a", 0, 0.9, {"act": "x|y\nz`"}, error="[red]|")
    lines = markdown.to_markdown(rows.summarize([record])).splitlines()
    header, ruler, row = (line for line in lines if line.startswith("|"))
    bars = header.count("|")
    assert ruler.count("|") == bars
    assert row.replace("\\|", "").count("|") == bars


@pytest.mark.parametrize("width", [80, 100, 140])
def test_terminal_table_fits_and_shows_every_model_score_and_failure(three, run, width):
    long = [run("mobilenet_v1", seed, 0.3 + seed / 50, {"width": 0.5}) for seed in range(3)]
    text = printed([*three, *long, run("half", 0, 0.2), run("half", 1, **OUT_OF_MEMORY)], width)
    assert max(map(len, text.splitlines())) <= width
    for whole in ("mobilenet_v1:width=0.5", "92.00 ± 4.97", "3 of 3 failed: diverged at step 12"):
        assert whole in text
    assert "half: 1 of 2 failed: out of memory. No room for 2 GiB." in text


def test_terminal_shows_names_with_brackets_as_they_are(run):
    assert "a:norm=[bold]" in printed([run("a", 0, 0.9, {"norm": "[bold]"})])


def test_same_records_give_the_same_bytes_in_any_order(three, run, tmp_path):
    runs = [*three, *(run("other", seed, 0.1 + seed / 7, recipe="paper") for seed in range(3))]
    written = []
    for i in range(4):
        random.Random(i).shuffle(runs)
        paths = leaderboard.write_tables(runs, tmp_path / str(i))
        written.append([path.read_bytes() for path in paths])
        assert [path.name for path in paths] == [
            *("leaderboard.md", "leaderboard.csv", "leaderboard.json", "index.html"),
        ]
    assert all(files == written[0] for files in written)


def test_no_records_make_no_table(tmp_path):
    with pytest.raises(RecordError, match="no records"):
        leaderboard.write_tables([], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_thousand_records_are_all_in_the_tables(run):
    runs = [
        run(f"model{i:03}", seed, 0.5 + i / 1000 + i * seed % 7 / 1_000_000)
        for i in range(400)
        for seed in range(5)
    ]
    rows = rows_of(runs)
    assert [int(row["rank"]) for row in rows] == list(range(1, 401))
    assert sum(int(row["seeds"]) for row in rows) == 2000
    assert rows[0]["model"] == "model399"


def test_a_terminal_gets_two_hundred_rows_and_the_number_of_the_others(run):
    text = printed([run(f"model{i:03}", 0, 0.5 + i / 1000) for i in range(203)])
    assert "and 3 more rows, which are in the files that --out writes" in text
    assert "model003" in text
    assert "model002" not in text
    assert "more rows" not in printed([run(f"model{i:03}", 0, 0.5) for i in range(200)])


def test_command_writes_what_the_records_say_and_prints_it(three, tmp_path, command_here):
    write_all(three[:6], tmp_path / "first")
    write_all(three[6:], tmp_path / "second")
    folders = [str(tmp_path / "second"), str(tmp_path / "first")]
    ended = command_here("results.leaderboard", *folders, f"--out={tmp_path / 'tables'}")
    assert (ended.returncode, ended.stderr) == (0, "")
    expected = leaderboard.to_csv(rows.summarize(three))
    assert (tmp_path / "tables" / "leaderboard.csv").read_text() == expected
    assert "leader" in ended.stdout


def test_command_names_a_damaged_record_and_goes_on(three, tmp_path, command_here):
    write_all(three, tmp_path)
    records.record_path(tmp_path, "leader-2").write_text("{")
    ended = command_here("results.leaderboard", tmp_path, f"--out={tmp_path}")
    assert ended.returncode == 0
    assert ended.stderr.startswith(f"Left out: {records.record_path(tmp_path, 'leader-2')}: ")
    text = (tmp_path / "leaderboard.csv").read_text()
    assert rows_of([record for record in three if record.run_id != "leader-2"]) == list(
        csv.DictReader(io.StringIO(text))
    )


def test_command_without_out_writes_nothing(three, tmp_path, command_here):
    write_all(three, tmp_path)
    assert command_here("results.leaderboard", tmp_path).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.parametrize("mistake", ["missing", "empty", "damaged", "unwritable"])
def test_command_says_a_mistake_in_one_sentence_with_status_2(
    three, mistake, tmp_path, command_here
):
    folder, out = tmp_path / "folder", tmp_path / "out"
    if mistake != "missing":
        folder.mkdir()
    if mistake == "damaged":
        (folder / "record.json").write_text("{")
    if mistake == "unwritable":
        write_all(three, folder)
        out.write_text("a file, not a folder")
    ended = command_here("results.leaderboard", folder, f"--out={out}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert str(out if mistake == "unwritable" else folder) in ended.stderr


def test_command_starts_without_jax_and_the_other_packages():
    program = (
        "import sys, results.leaderboard.__main__; "
        "print({name.partition('.')[0] for name in sys.modules} "
        "& {'jax', 'flax', 'tensorflow', 'models', 'benchmarks', 'input_pipeline'})"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout == "set()\n", ended.stderr


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("leaderboard", ["runs/*/record.json", "--out", "--[no]plots", "--reference"]),
        ("compare", ["leaderboard.json", "--out"]),
        ("claims", ["docs/results.md", "--out"]),
        ("confusions", ["record.json", "--split", "--out"]),
    ],
)
def test_help_tells_arguments_flags_and_exit_status(command, told):
    ended = subprocess.run(
        [sys.executable, "-m", f"results.{command}", "--help"], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    for text in (f"python -m results.{command}", *told, "Exit status"):
        assert text in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "say where the runs are: a folder that has runs/*/record.json."),
        (["--unknown=1", "folder"], "Unknown command line flag 'unknown'"),
        (["--plots", "folder"], "--plots needs --out=DIR, the folder that plots/ goes to."),
    ],
)
def test_wrong_arguments_have_status_2(arguments, sentence, command_here):
    ended = command_here("results.leaderboard", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: {sentence}")


def test_flags_may_stand_behind_the_folders_and_be_given_more_than_once(
    three, tmp_path, command_here
):
    write_all(three, tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"model,source\n{name},paper {name}\n")
    given = (tmp_path, f"--reference={tmp_path / 'a.csv'}", f"--reference={tmp_path / 'b.csv'}")
    ended = command_here("results.leaderboard", *given)
    assert ended.returncode == 0
    assert "paper a" in ended.stdout
    assert "paper b" in ended.stdout


def test_papers_recipes_share_a_ranking_whatever_their_batch_sizes(make):
    one, other = make("a", recipe="paper"), make("b", recipe="paper")
    other = dataclasses.replace(other, budget=dataclasses.replace(other.budget, batch_size=7))
    (table,) = rows.summarize([one, other])
    assert "each paper's batch size" in headings.title(table.group)


def test_equal_values_have_no_interval_and_share_a_rank_in_every_form(run):
    scores = {"a": [0.90, 0.91, 0.92], "b": [0.89, 0.90, 0.91], "c": [0.5, 0.5, 0.5]}
    runs = [run(name, i, top1) for name, by in scores.items() for i, top1 in enumerate(by)]
    assert [row["rank"] for row in rows_of(runs)] == ["1", "1", "3"]
    assert {row["top5_low"] for row in rows_of(runs)} == {""}
    for text in (printed(runs), leaderboard.to_markdown(rows.summarize(runs))):
        assert "± 0.00" not in text
        assert "-1.00" in text
        assert "Over several seeds, no ± means that all are equal" in text
