"""The process that times a network of PyTorch's packages for `peers`; the one place that imports PyTorch.

It is run as a file, and imports nothing of JAX. Batches are random numbers in the device's memory, normalized already,
which in this suite is part of a step.
"""

import functools
import importlib
import sys
import types
from typing import Any

import torch

from benchmarks.machine import child, queued_steps
from isobudget.errors import UserError

# Those that torchvision's import asks for; models use none of them.
_OPERATORS = (
    "nms", "roi_align", "_roi_align_backward", "roi_pool", "_roi_pool_backward", "ps_roi_align",
    "_ps_roi_align_backward", "ps_roi_pool", "_ps_roi_pool_backward", "deform_conv2d",
    "_deform_conv2d_backward",
)  # fmt: skip
_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Answers:
    """What this process is asked for, by the request's `do`."""

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Returns the answer to a request.

        Args:
          request: `do` is `prepare`, see `peers._torch_request` for the rest, which is answered with PyTorch's version;
            or `time`, with `seconds` that training and inference are timed at least.

        Raises:
          UserError: PyTorch has no such device, or fails.
        """
        try:
            if request["do"] == "prepare":
                self._name = request["network"]["name"]
                self._ready = _Ready(request)
                return {"version": torch.__version__}
            return {"paces": self._ready.paces(request["seconds"])}
        except (RuntimeError, ValueError, MemoryError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise UserError(f"PyTorch cannot run {self._name}: {reason}.") from None


class _Ready:
    """A network that took a training step and answered once, so that it is compiled, with a batch on the device."""

    def __init__(self, request: dict[str, Any]):
        self._request = request
        self._device = _device(request["platform"])
        torch.set_num_threads(request["threads"])
        memory_format = _FORMATS[request["memory_format"]]
        batch_size, side = request["batch_size"], request["image_size"]
        model = create(request["network"], request["num_classes"])
        self._model = model.to(device=self._device, memory_format=memory_format)
        images = torch.randn(batch_size, 3, side, side, device=self._device)
        self._images = images.contiguous(memory_format=memory_format)
        self._labels = torch.zeros(batch_size, dtype=torch.long, device=self._device)
        self._optimizer = create_optimizer(self._model, request["optimizer"])
        self._computed: Any = torch.compile(self._model) if request["compile"] else self._model
        self.paces(seconds=0.0, steps=1)

    def paces(self, seconds: float, steps: int = 3) -> dict[str, dict[str, float]]:
        """Returns the pace of training and of inference, as `queued_steps.told` tells it."""
        self._model.train()
        train = queued_steps.measure(self._train, self._wait, seconds, steps)
        self._optimizer.zero_grad(set_to_none=True)
        self._model.eval()
        infer = queued_steps.measure(self._infer, self._wait, seconds, steps)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()  # the memory is for the one that is timed next
        return queued_steps.told({"train": train, "infer": infer}, self._request["batch_size"])

    def _train(self) -> None:
        request = self._request
        self._optimizer.zero_grad(set_to_none=True)
        with self._in_dtype():
            outputs = self._computed(self._images)
            logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
            loss = torch.nn.functional.cross_entropy(logits, self._labels)
            for each in auxiliary:
                other = torch.nn.functional.cross_entropy(each, self._labels)
                loss = loss + request["auxiliary_weight"] * other
        loss.backward()
        if request["optimizer"]["clip_norm"]:
            torch.nn.utils.clip_grad_norm_(
                self._model.parameters(), request["optimizer"]["clip_norm"]
            )
        self._optimizer.step()

    def _infer(self) -> None:
        with torch.inference_mode(), self._in_dtype():
            self._computed(self._images)

    def _in_dtype(self) -> torch.autocast:
        enabled = self._request["dtype"] == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=enabled)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


def _device(platform: str) -> torch.device:
    """Returns PyTorch's device of a platform by JAX's name, set to compute as JAX does.

    Raises:
      UserError: there is none.
    """
    if platform == "cpu":
        return torch.device("cpu")
    if platform != "gpu" or not torch.cuda.is_available():
        raise UserError(
            f"PyTorch cannot use what JAX computes on here, which is a {platform.upper()}; JAX_PLATFORMS=cpu compares "
            "them on the processor."
        )
    torch.set_float32_matmul_precision("high")  # TF32, JAX's default
    torch.backends.cudnn.benchmark = True  # XLA tries which kernel is fastest, too
    return torch.device("cuda")


def create(network: dict[str, Any], num_classes: int) -> torch.nn.Module:
    """Returns a network, as `torch_networks.Network` describes it, with values that its package draws."""
    arguments, epsilon = dict(network["arguments"]), network["epsilon"]
    torchvision = import_torchvision()
    if network["package"] == "timm":
        import timm  # which imports torchvision

        return timm.create_model(
            network["name"], num_classes=num_classes, bn_eps=epsilon, **arguments
        )
    if epsilon is not None:
        arguments["norm_layer"] = functools.partial(torch.nn.BatchNorm2d, eps=epsilon)
    make = getattr(torchvision.models, network["name"])
    return make(num_classes=num_classes, **arguments)


def create_optimizer(model: torch.nn.Module, config: dict[str, Any]) -> torch.optim.Optimizer:
    """Returns PyTorch's fastest form of an optimizer.

    The learning rate is 0, as it is where this suite's warm-up begins: steps cost the same, and no number grows or
    vanishes with them.

    Args:
      model: whose parameters it trains.
      config: the fields of `config.optimizer`.
    """

    def decays(parameter: torch.nn.Parameter) -> bool:
        depthwise = parameter.ndim == 4 and parameter.shape[1] == 1
        if depthwise and not config["decay_depthwise"]:
            return False
        return config["decay_all"] or parameter.ndim > 1

    kept: list[torch.nn.Parameter] = []
    decayed: list[torch.nn.Parameter] = []
    for parameter in model.parameters():
        (decayed if decays(parameter) else kept).append(parameter)
    groups = [
        {"params": kept, "weight_decay": 0.0},
        {"params": decayed, "weight_decay": config["weight_decay"]},
    ]
    groups = [group for group in groups if group["params"]]
    if config["name"] == "adamw":
        betas = (config["beta1"], config["beta2"])
        return torch.optim.AdamW(groups, lr=0.0, betas=betas, fused=True)
    return torch.optim.SGD(
        groups, lr=0.0, momentum=config["momentum"], nesterov=config["nesterov"], fused=True
    )


def import_torchvision() -> types.ModuleType:
    """Returns torchvision, with its compiled operators or, where those are of another PyTorch, without."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for name in _OPERATORS:
            library.define(f"{name}(Tensor input) -> Tensor")
        empty = types.ModuleType("torchvision._meta_registrations")
        sys.modules["torchvision._meta_registrations"] = empty
    return importlib.import_module("torchvision")


if __name__ == "__main__":
    child.answer(Answers())
