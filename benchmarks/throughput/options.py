"""The command's flags, and which of them go together."""

from absl import flags

from benchmarks.config.fields import CACHES, DTYPES, NO_CACHE
from benchmarks.errors import ConfigError
from benchmarks.throughput import peers

# What says how something is measured that --all leaves out.
_NOT_WITH_ALL = (
    "dataset",
    "split",
    "data_dir",
    "cache",
    "workers",
    "pictures",
    "launch_runs",
    "launch_seconds",
)


def define_flags() -> None:
    """Defines the flags."""
    flags.DEFINE_bool(
        "all",
        False,
        "Measure all that a rented accelerator should be used for, what is wanted most first: the seven architectures "
        "in training and inference, beside --peers if that is given, then against the device's bounds, as --roofline "
        "does, then the other models alone. --out names a folder for the tables; called again with the same one, it "
        "measures what is not there yet.",
    )
    flags.DEFINE_float(
        "minutes",
        None,
        "After how many minutes nothing more is begun; what has begun is measured to its end. By default nothing is "
        "left out. It goes with --all.",
        lower_bound=0.0,
    )
    flags.DEFINE_bool(
        "input",
        False,
        "Measure how fast data is read, instead of models; with --models, how long their training waits for data.",
    )
    flags.DEFINE_bool(
        "loop",
        False,
        "Measure what the training loop adds to the compiled step, instead of whole models.",
    )
    flags.DEFINE_bool(
        "roofline",
        False,
        "Measure how near models come to what the device can do, in arithmetic and in memory traffic.",
    )
    flags.DEFINE_bool(
        "costs",
        False,
        "Measure what models' steps spend their time on, by layer, forward and backward.",
    )
    flags.DEFINE_list(
        "recognize",
        [],
        "The folders of finished runs, with commas between them, whose speed in recognizing --pictures is measured "
        "instead of models.",
    )
    flags.DEFINE_string(
        "pictures", None, "The folder of pictures to recognize. It goes with --recognize."
    )
    flags.DEFINE_list(
        "launch",
        [],
        "The numbers of nodes, with commas between them, of Ray clusters that are simulated here to measure launching "
        "instead of models.",
    )
    flags.DEFINE_integer(
        "launch_runs", 32, "How many runs are launched. It goes with --launch.", lower_bound=1
    )
    flags.DEFINE_float(
        "launch_seconds",
        2.0,
        "How many seconds each of them sleeps. It goes with --launch.",
        lower_bound=0.0,
    )
    flags.DEFINE_bool(
        "start",
        False,
        "Measure what the default suite's runs, or with --models those of others, spend beside training, of which each "
        "does five steps.",
    )
    flags.DEFINE_string("dataset", "imagenet2012", "The dataset to read. It goes with --input.")
    flags.DEFINE_string("split", "train", "The split of the dataset to read. It goes with --input.")
    flags.DEFINE_string(
        "data_dir",
        None,
        "The directory of prepared datasets. By default $TFDS_DATA_DIR or ~/tensorflow_datasets. It goes with --input.",
    )
    flags.DEFINE_enum(
        "cache",
        NO_CACHE,
        CACHES,
        "Whether the split is kept decoded on the devices, as by config.cache. It goes with --input and --models.",
    )
    flags.DEFINE_list(
        "workers",
        ["0", "1", "2"],
        "How many worker processes to read with, each number in turn, with commas between them; 0 means threads. It "
        "goes with --input.",
    )
    flags.DEFINE_list(
        "peers",
        [],
        "Other libraries to measure beside this one, with commas between them: torch, and with --input also tf_data. "
        "Models are measured beside PyTorch's, each in a process of its own, in both of its memory formats, of which "
        "the faster counts.",
    )
    flags.DEFINE_integer(
        "turns",
        3,
        "How many times each model and its peer are measured in turns. It goes with --peers, without --input.",
        lower_bound=1,
    )
    flags.DEFINE_float(
        "turn_seconds",
        3.0,
        "How many seconds training, and inference, are timed at least in each turn. It goes with --turns.",
        lower_bound=0.0,
    )
    flags.DEFINE_multi_enum(
        "peer_formats",
        peers.MEMORY_FORMATS,
        peers.MEMORY_FORMATS,
        "A memory format of PyTorch's to measure; say it twice for both. By default both, of which the faster counts. "
        "On a GPU, channels_last alone is the faster. It goes with --peers, without --input.",
    )
    flags.DEFINE_integer(
        "prepare_at_once",
        1,
        "How many models are compiled, one after another, and then their peers, at the same time, before the first of "
        "them is timed. All of them must fit the device's memory. It goes with --peers, without --input.",
        lower_bound=1,
    )
    flags.DEFINE_bool(
        "compile_peer",
        False,
        "Compile PyTorch's networks by torch.compile. It goes with --peers, without --input.",
    )
    flags.DEFINE_string(
        "models",
        None,
        "The models to measure, with commas between them, such as resnet50,mobilenet_v1:width=0.5. By default all; "
        "with --peers=torch, all that PyTorch's packages have; with --input, none; with --start, the default suite's. "
        "--all keeps its order.",
    )
    flags.DEFINE_integer(
        "batch_size",
        None,
        "The number of images in a batch, over all devices. By default 32; with --all on an accelerator 256.",
        lower_bound=1,
    )
    flags.DEFINE_string(
        "image_size",
        "",
        "The side of the images in pixels, or smallest for the smallest that a model accepts. By default the model's "
        "own, or 224 with --input.",
    )
    flags.DEFINE_enum("dtype", "float32", DTYPES, "The number type that models compute in.")
    flags.DEFINE_string(
        "out",
        None,
        "A CSV file to write the rows to, or with --all the folder of the tables. By default rows are only printed.",
    )


def check() -> None:
    """Checks that the flags go together.

    Raises:
      ConfigError: they do not.
    """
    given = flags.FLAGS
    others = (
        *(given.input, given.loop, given.roofline, given.costs),
        *(given.recognize, given.launch, given.start),
    )
    if sum(map(bool, (given.all, *others))) > 1:
        raise ConfigError(
            "--all, --input, --loop, --roofline, --costs, --recognize, --launch and --start are measurements of their "
            "own: say only one."
        )
    if given.all:
        _check_all()
    elif given.minutes is not None:
        raise ConfigError("--minutes goes with --all.")
    if bool(given.recognize) != bool(given.pictures):
        raise ConfigError("--recognize and --pictures go together.")
    if given.peers and sum(map(bool, others)) > bool(given.input):
        raise ConfigError("--peers is for models alone and for --input.")
    if given.compile_peer and (given.input or not given.peers):
        raise ConfigError("--compile_peer goes with --peers=torch, without --input.")
    if given.cache != NO_CACHE and not (given.input and given.models):
        raise ConfigError("--cache goes with --input and --models.")


def _check_all() -> None:
    if not flags.FLAGS.out:
        raise ConfigError("--all needs --out, the folder to write its tables to.")
    for name in _NOT_WITH_ALL:
        if flags.FLAGS[name].present:
            raise ConfigError(f"--{name} does not go with --all.")
    peers.check_names(flags.FLAGS.peers)


def manner() -> peers.Manner:
    """Returns how models are measured beside their peers."""
    given = flags.FLAGS
    return peers.Manner(
        turns=given.turns,
        seconds=given.turn_seconds,
        formats=given.peer_formats,
        compiled=given.compile_peer,
        at_once=given.prepare_at_once,
    )
