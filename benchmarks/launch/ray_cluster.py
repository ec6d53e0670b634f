"""Runs on a Ray cluster: as many at once as its devices allow, each taken elsewhere if its machine is lost."""

import contextlib
import logging
import os
import time
import uuid
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from benchmarks.cli import progress
from benchmarks.errors import ConfigError
from benchmarks.launch import outcome, process, ray_tasks, resources, stopping
from benchmarks.launch.display import Display
from benchmarks.launch.ray_attempt import Attempt, Cluster, LostError
from benchmarks.launch.resources import Node
from benchmarks.runs.plan import Run
from benchmarks.runs.record import finished_record
from results import records

# A process notices within a second that whoever read its progress is gone, and ends. Whoever takes its run up waits
# for that, so that no two write into its folder.
_SECONDS_BEFORE_AGAIN = 3.0
# Within which Ray notices the loss of a host. Until then, a process that failed may have lost its peer with it.
_SECONDS_TO_NOTICE = 30.0
# In a row, without a checkpoint in between: then it is the run that brings its machines down.
_MOST_LOSSES = 20
# Beyond what the cluster can do at once, so that one that grows with demand sees some.
_RUNS_AHEAD = 16
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_ANSWER = 120.0


class RayLauncher:
    """Does as many runs at once as the devices of a Ray cluster allow."""

    def __init__(
        self,
        address: str | None = None,
        run_devices: int | None = None,
        run_hosts: int = 1,
        module: str = process.TRAIN,
    ):
        """Takes what `benchmarks.launch.options` asks for.

        Args:
          address: of the cluster; None for one of this machine's own devices.
          run_devices: how many devices of a host each run gets; None for what is usual of their kind.
          run_hosts: how many hosts each run is spread over.
          module: what each process runs, see `process.Order`.
        """
        self._address, self._module = address, module
        self._run_devices, self._run_hosts = run_devices, run_hosts
        self._cluster: Cluster

    def __enter__(self) -> "RayLauncher":
        try:
            with warnings.catch_warnings():
                # JAX warns of forks; those of Ray become other programs at once.
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
                self._context = ray.init(
                    address=self._address or "local",
                    namespace="isobudget",
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (ConnectionError, RuntimeError, ValueError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"there is no Ray cluster at --ray_address={self._address}: {said}"
            ) from None
        return self

    def __exit__(self, *exception: object) -> None:
        ray.shutdown()

    def check(self, runs: Sequence[Run], workdir: Path) -> None:
        nodes = resources.nodes(ray.nodes())
        share = resources.share(nodes, self._run_devices, self._run_hosts)
        able = resources.able(nodes, share)
        if share.kind == "CPU" and any(run.budget.kind == "seconds" for run in runs):
            _check_one_run_a_host(able, share)
        folder = workdir.absolute()
        token = ray_tasks.Token(folder, uuid.uuid4().hex)
        self._token = token
        token.path.write_text(token.text)
        _probe(token, able)
        self._cluster = Cluster(
            share=share,
            token=token,
            settings={
                name: os.environ[name]
                for name in (*ray_tasks.CARRIED, "OMP_NUM_THREADS")
                if name in os.environ
            },
            board=ray.remote(ray_tasks.Board).options(num_cpus=0, max_restarts=-1).remote(),
            module=self._module,
        )

    def train(
        self, runs: Sequence[Run], display: Display, before_one_begins: Callable[[], None]
    ) -> Generator[tuple[Run, records.RunRecord]]:
        link = getattr(self._context, "dashboard_url", None)
        if link:
            display.tell(f"Ray's dashboard: http://{link}")
        pool = _Pool(self._cluster, runs, display, before_one_begins)
        self._cluster.token.path.write_text(self._cluster.token.text)
        try:
            while pool.is_busy:
                with stopping.postponed():  # Ray's own calls are not to be interrupted
                    ended = pool.turn()
                yield from ended
        finally:
            pool.stop()
            self._cluster.token.path.unlink(missing_ok=True)


def _check_one_run_a_host(able: Sequence[Node], share: resources.Share) -> None:
    for node in able:
        if not share.whole_host and node.devices["CPU"] >= 2 * share.devices:
            raise ConfigError(
                f"a budget of seconds needs a CPU for itself, and --run_devices={share.devices} puts several runs on"
                f" {node.name}: leave it out."
            )


def _probe(token: ray_tasks.Token, nodes: Sequence[Node]) -> None:
    """Checks that the nodes and this machine share the folder.

    Raises:
      ConfigError: one does not, or does not answer.
    """
    answers = {}
    for node in nodes:
        task = ray.remote(ray_tasks.probe).options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.number, soft=False),
        )
        answers[task.remote(token, node.number)] = node
    try:
        for answer, node in answers.items():
            try:
                sees = ray.get(answer, timeout=_SECONDS_TO_ANSWER)
            except RayError as error:
                said = str(error).strip().splitlines()[-1][:200]
                raise ConfigError(
                    f"{node.name} cannot start runs; isobudget must be installed on every node: {said}"
                ) from None
            if not sees or not ray_tasks.seen(token.answer(node.number), token.text):
                raise _unshared(token.folder, node.name)
    finally:
        token.path.unlink(missing_ok=True)
        for node in nodes:
            token.answer(node.number).unlink(missing_ok=True)


def _unshared(folder: Path, node: str) -> ConfigError:
    return ConfigError(
        f"{node} does not share {folder} with this machine: choose a --workdir on a file system that every node sees"
        " under the same name."
    )


class _Pool:
    """The runs that wait, and those that were handed to the cluster."""

    def __init__(
        self,
        cluster: Cluster,
        runs: Sequence[Run],
        display: Display,
        before_one_begins: Callable[[], None],
    ):
        self._cluster = cluster
        self._display = display
        self._before_one_begins = before_one_begins
        self._waiting = deque(runs)
        self._later: list[tuple[float, Run]] = []  # from when on they may be handed over again
        self._attempts: list[Attempt] = []
        self._doubtful: list[tuple[float, Attempt]] = []  # until when
        self._seen: set[Path] = set()  # whose processes have begun
        self._losses: Counter[Path] = Counter()
        self._checkpoints: dict[Path, frozenset[str]] = {}
        self._nodes: list[Node] = []
        # Ray lists a node for a while after it is lost, and never gives its number to another.
        self._lost_nodes: set[str] = set()

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting or self._later or self._attempts or self._doubtful)

    def turn(self) -> list[tuple[Run, records.RunRecord]]:
        """Hands over what there is a place for, waits a moment, and returns the runs that ended."""
        self._hand_over()
        awaited = {ref: attempt for attempt in self._attempts for ref in attempt.awaited}
        ready: list[ray.ObjectRef] = []
        if awaited:
            ready, _ = ray.wait(
                list(awaited), num_returns=1, timeout=_SECONDS_BETWEEN_LOOKS, fetch_local=False
            )
        else:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        self._show_events()
        over = [awaited[ref] for ref in ready if self._go_on(awaited[ref], ref)]
        for attempt in over:
            self._attempts.remove(attempt)
            attempt.release()
            self._seen.discard(attempt.run.workdir)
        over = self._without_doubtful(over)
        made = [(attempt.run, record) for attempt in over if (record := self._record(attempt))]
        if made:
            self._hand_over()  # before whatever is made of the records
        return made

    def stop(self) -> None:
        """Tells what is under way to save and stop, and waits until it has."""
        for attempt in self._attempts:
            attempt.cancel()
        left = [ref for attempt in self._attempts for ref in attempt.awaited]
        with contextlib.suppress(RayError):
            ray.wait(left, num_returns=len(left)) if left else None
        for attempt in self._attempts:
            attempt.release()
        self._attempts = []

    def _hand_over(self) -> None:
        self._nodes = [
            node for node in resources.nodes(ray.nodes()) if node.number not in self._lost_nodes
        ]
        now = time.monotonic()
        self._waiting.extendleft(run for at, run in self._later if at <= now)
        self._later = [(at, run) for at, run in self._later if at > now]
        share = self._cluster.share
        while self._waiting:
            node = None
            if share.whole_host and share.hosts == 1:
                node = self._free_host()
                if node is None:
                    break
            elif len(self._attempts) >= share.slots(self._nodes) + _RUNS_AHEAD:
                break
            run = self._waiting.popleft()
            self._before_one_begins()
            attempt = Attempt(run, outcome.begin(run), node)
            attempt.submit(self._cluster, self._nodes)
            self._attempts.append(attempt)
        unseen = len(self._attempts) - len(self._seen)
        self._display.wait(len(self._waiting) + len(self._later) + unseen)

    def _without_doubtful(self, over: list[Attempt]) -> list[Attempt]:
        """Returns the attempts whose outcome is known, of those that are over now or were doubtful until now."""
        now = time.monotonic()
        known = [attempt for at, attempt in self._doubtful if at <= now]
        self._doubtful = [(at, attempt) for at, attempt in self._doubtful if at > now]
        for attempt in over:
            if attempt.is_doubtful and not finished_record(attempt.run.workdir):
                self._doubtful.append((now + _SECONDS_TO_NOTICE, attempt))
            else:
                known.append(attempt)
        return known

    def _free_host(self) -> Node | None:
        taken = {attempt.node.number for attempt in self._attempts if attempt.node}
        able = resources.able(self._nodes, self._cluster.share)
        return next((node for node in able if node.number not in taken), None)

    def _go_on(self, attempt: Attempt, ref: "ray.ObjectRef") -> bool:
        try:
            return attempt.go_on(self._cluster, self._nodes, ref)
        except ray_tasks.UnsharedFolderError as error:
            raise _unshared(self._cluster.token.folder, self._name(error.args[0])) from None

    def _show_events(self) -> None:
        told: dict[str, tuple[str, progress.Event]] = {}
        with contextlib.suppress(RayError):  # the board is being set up again elsewhere
            told = ray.get(self._cluster.board.take.remote(), timeout=_SECONDS_BETWEEN_LOOKS)
        by_folder = {str(each.run.workdir.absolute()): each.run for each in self._attempts}
        for folder, (node, event) in told.items():
            run = by_folder.get(folder)
            if run is None:
                continue  # it has ended since
            if run.workdir not in self._seen:
                self._seen.add(run.workdir)
                self._display.begin(run, self._name(node))
            self._display.update(run, event)

    def _name(self, number: str) -> str:
        return next((node.name for node in self._nodes if node.number == number), number[:6])

    def _record(self, attempt: Attempt) -> records.RunRecord | None:
        """Returns the run's record; None if it must go on, for which it is put back."""
        run = attempt.run
        try:
            ended = attempt.outcome(self._nodes)
        except LostError as loss:
            if attempt.node and loss.with_node:
                self._lost_nodes.add(attempt.node.number)
            path = records.path_in(run.workdir)
            record = records.read(path) if path.exists() else None
            # On several hosts, the first process may have failed, and said so, because the other's was lost.
            if record and (record.status == "completed" or not attempt.hosts):
                return record
            if self._is_hopeless(run):
                how = f"Its machine was lost {_MOST_LOSSES} times in a row before a checkpoint"
                return outcome.failed(run, attempt.started, "crashed", how)
            self._again(run, str(loss), _SECONDS_BEFORE_AGAIN)
            return None
        record = outcome.record_of(run, attempt.started, ended)
        if record is None:
            self._again(run, "its host is needed or going away", 0.0)
        return record

    def _again(self, run: Run, why: str, wait: float) -> None:
        self._display.lose(run, why)
        self._later.append((time.monotonic() + wait, run))

    def _is_hopeless(self, run: Run) -> bool:
        saved = frozenset(each.name for each in (run.workdir / "checkpoints").glob("*"))
        if saved != self._checkpoints.get(run.workdir, frozenset()):
            self._losses[run.workdir] = 0
        self._checkpoints[run.workdir] = saved
        self._losses[run.workdir] += 1
        return self._losses[run.workdir] >= _MOST_LOSSES
