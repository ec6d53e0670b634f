"""What a compiled step needs of its devices, and how fast they can be with it at most."""

import dataclasses
import re

import models
from benchmarks.machine import collectives, traffic
from benchmarks.plan.programs import Job, Program
from benchmarks.runs.plan import count_train_macs_at

# What a TPU's compiler says of a program that is too large, in one of two ways.
_TOO_LARGE = (
    re.compile(r"Used ([\d.]+)([KMGT]) of ([\d.]+)([KMGT]) hbm"),
    re.compile(r"required .* \(([\d.]+)([KMGT])\) exceeds available HBM \(([\d.]+)([KMGT])\)"),
)
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Figures:
    """One step of one model on the devices of a target; memory, bytes and collectives are those of one device.

    Attributes:
      step: `training` or `evaluation`.
      batch_size: over all devices.
      status: `fits`; `too large`, for the memory of a device; or `failed`, it does not compile.
      problem: why it failed; empty if it did not.
      usable_bytes: what programs can have of a device's memory; None if that is not known.
      memory_bytes: what the step needs: arguments, temporaries and such results as take no argument's place.
      argument_bytes: weights, the optimizer's state and the device's part of the batch.
      temporary_bytes: what lives within the step only.
      flops: of the step over all devices; two for each multiply-accumulate of convolutions and dense layers. None of a
        model that cannot be traced.
      bytes_moved: by the compiled program's text (`machine.traffic`).
      flops_bound_ms: how long the arithmetic takes at the data sheet's peak; None if that is not known for the dtype.
      bytes_bound_ms: how long the bytes take at the data sheet's bandwidth.
      bound_ms: the longer of the two.
      images_per_second: all devices together, if a step takes no longer than that.
      collectives: how many operations exchange data between devices, and what kind they are.
      collective_bytes: of their results.
      compile_seconds: on this machine, tracing included.
    """

    model: str
    step: str
    target: str
    devices: int
    image_size: int
    batch_size: int
    dtype: str
    status: str
    problem: str
    usable_bytes: int | None
    memory_bytes: int | None
    argument_bytes: int | None
    temporary_bytes: int | None
    flops: float | None
    bytes_moved: float | None
    flops_bound_ms: float | None
    bytes_bound_ms: float | None
    bound_ms: float | None
    images_per_second: float | None
    collectives: dict[str, collectives.Collectives]
    compile_seconds: float

    @property
    def collective_bytes(self) -> int:
        """The bytes of all collective operations' results."""
        return sum(each.bytes for each in self.collectives.values())


def work_out(job: Job, program: Program) -> Figures:
    """Returns what a step needs and how fast it can be at most."""
    setup, target = job.setup, job.target
    side = job.side or setup.eval_image_size
    flops = _flops(job)
    needed, usable = memory(job, program)
    sheet, dtype = target.sheet, setup.config.dtype
    compiled = not program.problem
    moved = float(traffic.bytes_moved(program.text)) if compiled else None
    flops_ms = bytes_ms = bound_ms = None
    if sheet and moved is not None:
        peak = sheet.flops_per_second.get(dtype)
        flops_ms = flops / target.devices / peak * 1e3 if flops and peak else None
        bytes_ms = moved / sheet.bytes_per_second * 1e3
        bound_ms = max(flops_ms or 0.0, bytes_ms)
    too_large = needed is not None and usable is not None and needed > usable
    status = "too large" if too_large else "fits" if compiled else "failed"
    return Figures(
        model=setup.model,
        step=job.step,
        target=target.name,
        devices=target.devices,
        image_size=side,
        batch_size=job.batch_size,
        dtype=dtype,
        status=status,
        problem=program.problem if status == "failed" else "",
        usable_bytes=usable,
        memory_bytes=needed,
        argument_bytes=program.argument_bytes if compiled else None,
        temporary_bytes=program.temporary_bytes if compiled else None,
        flops=flops,
        bytes_moved=moved,
        flops_bound_ms=flops_ms,
        bytes_bound_ms=bytes_ms,
        bound_ms=bound_ms,
        images_per_second=job.batch_size / bound_ms * 1e3 if bound_ms else None,
        collectives=collectives.of_program(program.text) if compiled else {},
        compile_seconds=program.compile_seconds,
    )


def failed(job: Job, problem: str) -> Figures:
    """Returns the figures of a step whose process ended without an answer."""
    return work_out(job, Program(problem=problem, compile_seconds=0.0))


def _flops(job: Job) -> float | None:
    setup = job.setup
    try:
        if job.side is not None:
            macs = count_train_macs_at(setup, job.side)
        else:
            model = models.create_abstract(setup.config.model, setup.num_logits)
            macs = models.count_macs(model, setup.eval_image_size) * setup.config.eval_crops
    except Exception:  # whatever somebody's network raises: compiling it says so
        return None
    return 2.0 * macs * job.batch_size


def memory(job: Job, program: Program) -> tuple[int | None, int | None]:
    """Returns (what a step needs, what a device has for it) in bytes.

    A TPU's compiler makes no program that is too large, but says how large it would be.
    """
    if not program.problem:
        return program.memory_bytes, job.target.usable_bytes
    told = next(filter(None, (each.search(program.problem) for each in _TOO_LARGE)), None)
    if told is None:
        return None, job.target.usable_bytes
    needed, usable = (float(told[i]) * _UNITS[told[i + 1]] for i in (1, 3))
    return int(needed), int(usable)
