"""What devices exchange, by a compiled program's text."""

from benchmarks.machine import collectives
from benchmarks.machine.collectives import Collectives

# As XLA writes it for a TPU and for GPUs: with tiles in layouts, and asynchronous operations in two parts.
_TEXT = """HloModule jit_step, is_scheduled=true

%body (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %all-reduce.1 = f32[4]{0} all-reduce(%p), channel_id=1, replica_groups={{0,1}}, to_apply=%add
}

ENTRY %main.5 (a.1: bf16[8,4], b.1: f32[]) -> (bf16[8,4], f32[4]) {
  %a.1 = bf16[8,4]{1,0:T(8,128)(2,1)} parameter(0)
  %all-reduce.2 = (bf16[8,4]{1,0:T(8,128)(2,1)S(1)}, /*index=1*/f32[]{:T(128)}) all-reduce(%a.1, %b.1), channel_id=2
  %start.1 = (bf16[4]{0}, bf16[8]{0}) all-gather-start(%half), channel_id=3, dimensions={0}
  %done.1 = bf16[8]{0} all-gather-done(%start.1)
  ROOT %tuple.1 = (bf16[8,4]{1,0}, f32[4]{0}) tuple(%get.1, %reduce.3)
}
"""


def test_collectives_are_counted_by_kind_with_the_bytes_of_their_results():
    assert collectives.of_program(_TEXT) == {
        "all-reduce": Collectives(count=2, bytes=4 * 4 + 8 * 4 * 2 + 4),
        "all-gather": Collectives(count=1, bytes=8 * 2),
    }


def test_a_program_of_one_device_has_none():
    assert collectives.of_program("ENTRY %main {\n  %x = f32[2]{0} parameter(0)\n}") == {}
