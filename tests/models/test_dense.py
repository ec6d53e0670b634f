"""A dense layer's product: the same in both forms, with everything that is done to it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from models import dense, platform


@pytest.fixture
def operands():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((3, 5)).astype(np.float32)
    kernel = generator.standard_normal((5, 4)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(kernel)


def all_of_it(product, x, kernel):
    def loss(x, kernel):
        return jnp.sum(jnp.sin(product(x, kernel)))

    def norm(x, kernel):
        return sum(jnp.vdot(each, each) for each in jax.grad(loss, (0, 1))(x, kernel))

    return (
        product(x, kernel),
        *jax.grad(loss, (0, 1))(x, kernel),
        *jax.grad(norm, (0, 1))(x, kernel),  # second derivatives
        jax.grad(loss)(x, kernel),  # of x alone
        jax.grad(loss, 1)(x, kernel),  # of the kernel alone
        *jax.grad(jax.checkpoint(loss), (0, 1))(x, kernel),
        jax.vmap(jax.grad(loss), (None, 0))(x, jnp.stack([kernel, 2 * kernel])),
        jax.jvp(product, (x, kernel), (x[::-1], kernel[::-1]))[1],
    )


def test_the_product_and_its_derivatives_are_those_of_matmul(operands):
    ours, theirs = (all_of_it(each, *operands) for each in (dense.product, jnp.matmul))
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rows", "kernel_first"), [(32, True), (33, False)])
def test_of_few_rows_the_gradient_of_the_inputs_is_computed_turned_around(rows, kernel_first):
    def gradient(x, kernel):
        return jax.grad(lambda x: jnp.sum(jnp.sin(dense.product(x, kernel))))(x)

    compiled = jax.jit(gradient).lower(jnp.ones((rows, 96)), jnp.ones((96, 80))).compile()
    assert (f"f32[96,{rows}]" in compiled.as_text()) == kernel_first


def test_a_gradient_can_be_exported(operands):
    gradient = jax.jit(jax.grad(lambda x, kernel: jnp.sum(jnp.sin(dense.product(x, kernel)))))
    exported = export.deserialize(export.export(gradient)(*operands).serialize())
    np.testing.assert_allclose(exported.call(*operands), gradient(*operands), rtol=1e-6)


def test_on_an_accelerator_the_program_is_that_of_matmul(operands):
    def program(product):
        gradient = jax.jit(jax.grad(lambda x, kernel: jnp.sum(product(x, kernel)), (0, 1)))
        with platform.traced_for("cuda"):
            exported = export.export(gradient, platforms=["cuda"])(*operands)
        return re.sub(r"\s*(loc\(.*\)|#loc.*)\s*", "", exported.mlir_module())

    assert program(dense.product) == program(jnp.matmul)
