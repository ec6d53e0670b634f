"""The bytes that a compiled program moves, by its text."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.machine import traffic

_TEXT = """HloModule jit_step, is_scheduled=true

%fused (param_0: bf16[8,4]) -> bf16[8,4] {
  %param_0 = bf16[8,4]{1,0} parameter(0)
  ROOT %negate.1 = bf16[8,4]{1,0} negate(%param_0)
}

ENTRY %main.5 (a.1: bf16[8,4], b.1: f32[]) -> (bf16[8,4], f32[4]) {
  %a.1 = bf16[8,4]{1,0} parameter(0)
  %b.1 = f32[] parameter(1), metadata={op_name="b"}
  %fusion.1 = bf16[8,4]{1,0} fusion(%a.1), kind=kLoop, calls=%fused
  %conv.2 = (bf16[8,4]{1,0}, u8[16]{0}) custom-call(%fusion.1, %b.1), custom_call_target="__cudnn$convForward"
  %get.1 = bf16[8,4]{1,0} get-tuple-element(%conv.2), index=0
  %reduce.3 = f32[4]{0} reduce(%get.1, %b.1), dimensions={0}, to_apply=%add
  ROOT %tuple.1 = (bf16[8,4]{1,0}, f32[4]{0}) tuple(%get.1, %reduce.3)
}
"""


def test_each_operation_reads_its_operands_and_writes_its_result():
    array, scalar = 8 * 4 * 2, 4
    fusion = 2 * array
    convolution = array + scalar + (array + 16)
    reduction = array + scalar + 4 * 4
    assert traffic.bytes_moved(_TEXT) == fusion + convolution + reduction


def test_the_text_of_a_program_that_was_compiled_here_is_read():
    add = jax.jit(lambda x, y: x + y).lower(*2 * [jnp.zeros(1000, jnp.float32)]).compile()
    assert traffic.bytes_moved(add.as_text()) == 3 * 1000 * 4


_TPU_TEXT = """HloModule jit_step

ENTRY %main.5 (a.1: bf16[8,128]) -> bf16[8,128] {
  %a.1 = bf16[8,128]{1,0:T(8,128)(2,1)} parameter(0)
  %copy-start.1 = (bf16[8,128]{1,0:T(8,128)(2,1)S(1)}, bf16[8,128]{1,0:T(8,128)(2,1)}, u32[]{:S(2)}) copy-start(%a.1)
  %copy-done.1 = bf16[8,128]{1,0:T(8,128)(2,1)S(1)} copy-done(%copy-start.1)
  %fusion.1 = bf16[8,128]{1,0:T(8,128)(2,1)S(1)} fusion(%copy-done.1), kind=kLoop, calls=%fused
  ROOT %fusion.2 = bf16[8,128]{1,0:T(8,128)(2,1)} fusion(%fusion.1), kind=kLoop, calls=%fused
}
"""


def test_what_stays_in_a_tpus_fast_memory_does_not_count_and_its_copies_count_once():
    array, context = 8 * 128 * 2, 4
    assert traffic.bytes_moved(_TPU_TEXT) == (array + context) + array


def test_another_text_is_an_error():
    with pytest.raises(ValueError, match="ENTRY"):
        traffic.bytes_moved("HloModule nothing")
