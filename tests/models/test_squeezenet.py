"""What only SqueezeNet has: a ReLU after its logits, which can be left out."""

import jax
import numpy as np
from flax import nnx

import models


def test_logits_without_the_final_relu_take_both_signs_and_with_it_none_below_0():
    images = jax.random.normal(jax.random.key(0), (4, 32, 32, 3))
    logits = {
        spec: np.asarray(nnx.jit(models.create(spec, 10, rngs=nnx.Rngs(params=0)))(images))
        for spec in ("squeezenet1_1", "squeezenet1_1:final_relu=false")
    }
    assert logits["squeezenet1_1"].min() >= 0
    assert logits["squeezenet1_1:final_relu=false"].min() < 0
    assert logits["squeezenet1_1:final_relu=false"].max() > 0
