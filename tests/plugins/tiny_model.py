"""A plug-in for tests: models that are registered in every process that names it, those of a suite included.

`tiny` compiles in a second and learns digits; the others fail in the ways that a suite has to survive. Where CLOCK_RATE
is set, the process's clock runs so many times as fast.
"""

import os
import signal
import time

import jax.numpy as jnp
from flax import nnx

from models import Classifier, Paper, register
from models.layers import BatchNorm, Conv, Dropout, Linear, relu

if "CLOCK_RATE" in os.environ:
    _rate, _true_clock = float(os.environ["CLOCK_RATE"]), time.perf_counter
    time.perf_counter = lambda: _rate * _true_clock()

_PAPER = Paper("A model for tests", None, 2012)


class Tiny(Classifier):
    """One convolution with batch norm, dropout and a dense layer."""

    def __init__(self, num_classes, *, width, fault, pooled, dtype, rngs):
        self.conv = Conv(3, width, 3, strides=4, padding=1, dtype=dtype, rngs=rngs)
        self.bn = BatchNorm(width, dtype=dtype, rngs=rngs)
        self.dropout = Dropout(0.1)
        inputs = width if pooled else 8 * 8 * width
        self.fc = Linear(inputs, num_classes, dtype=dtype, rngs=rngs)
        self.fault = fault
        self.pooled = pooled

    def stages(self):
        return {"stem": lambda x, mode: relu(self.bn(self.conv(x), mode))}

    def classify(self, features, mode):
        if mode.train and self.fault == "raises":
            raise RuntimeError("this model always raises")
        fits = {"memory": 1, "memory_above_8": 8}.get(self.fault)  # images
        if mode.train and fits and features.shape[0] > fits:
            raise MemoryError("RESOURCE_EXHAUSTED: out of memory")
        if mode.train and self.fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        pooled = features.mean((1, 2)) if self.pooled else features
        x = self.dropout(pooled.reshape(pooled.shape[0], -1), mode)
        logits = self.fc(x)
        if self.fault == "nan_in_evaluation" and not mode.train:
            return logits * jnp.nan
        return logits * jnp.nan if mode.train and self.fault == "nan" else logits


@register("tiny", family="tiny", paper=_PAPER, min_size=32, input_size=32)
def tiny(
    num_classes: int,
    dtype,
    rngs: nnx.Rngs,
    width: int = 8,
    fault: str = "none",
    pooled: bool = False,  # takes pictures of any size
) -> Tiny:
    options = {"width": width, "fault": fault, "pooled": pooled}
    return Tiny(num_classes, **options, dtype=dtype, rngs=rngs)
