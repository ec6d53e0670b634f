"""ResNet: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385.

Table 1: a 7x7 convolution of stride 2 and 3x3 pooling, four stages of residual blocks (basic for 18 and 34 layers,
bottleneck from 50), global average pooling and one dense layer; projections where shapes change (option B). The stride of
a bottleneck is on its 3x3 convolution ("v1.5", torchvision's).
"""

from flax import nnx

from models.layers import (
    BatchNorm,
    Classifier,
    Conv,
    Layer,
    Linear,
    MaxPool,
    Sequential,
    global_average_pool,
    he_normal_fan_out,
    relu,
    uniform,
)
from models.registry import Paper, Reported, register

_PAPER = Paper("Deep Residual Learning for Image Recognition", "1512.03385", 2015)
_CHANNELS = (64, 128, 256, 512)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, *, dtype, rngs) -> Conv:
    return Conv(
        inputs,
        outputs,
        kernel,
        strides=stride,
        padding=kernel // 2,
        use_bias=False,
        kernel_init=he_normal_fan_out,
        dtype=dtype,
        rngs=rngs,
    )


def _projection(inputs: int, outputs: int, stride: int, *, dtype, rngs) -> Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return Sequential(
        _conv(inputs, outputs, 1, stride, dtype=dtype, rngs=rngs),
        BatchNorm(outputs, dtype=dtype, rngs=rngs),
    )


class BasicBlock(Layer):
    """Two 3x3 convolutions around which the input is added (figure 5, left)."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int, *, dtype, rngs: nnx.Rngs):
        self.conv1 = _conv(inputs, channels, 3, stride, dtype=dtype, rngs=rngs)
        self.bn1 = BatchNorm(channels, dtype=dtype, rngs=rngs)
        self.conv2 = _conv(channels, channels, 3, dtype=dtype, rngs=rngs)
        self.bn2 = BatchNorm(channels, dtype=dtype, rngs=rngs)
        self.downsample = _projection(inputs, channels, stride, dtype=dtype, rngs=rngs)

    def __call__(self, x, mode):
        residual = x if self.downsample is None else self.downsample(x, mode)
        x = relu(self.bn1(self.conv1(x), mode))
        return relu(self.bn2(self.conv2(x), mode) + residual)


class Bottleneck(Layer):
    """1x1, 3x3 and 1x1 convolutions around which the input is added (figure 5, right); the 3x3 has the stride."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int, *, dtype, rngs: nnx.Rngs):
        outputs = channels * self.expansion
        self.conv1 = _conv(inputs, channels, 1, dtype=dtype, rngs=rngs)
        self.bn1 = BatchNorm(channels, dtype=dtype, rngs=rngs)
        self.conv2 = _conv(channels, channels, 3, stride, dtype=dtype, rngs=rngs)
        self.bn2 = BatchNorm(channels, dtype=dtype, rngs=rngs)
        self.conv3 = _conv(channels, outputs, 1, dtype=dtype, rngs=rngs)
        self.bn3 = BatchNorm(outputs, dtype=dtype, rngs=rngs)
        self.downsample = _projection(inputs, outputs, stride, dtype=dtype, rngs=rngs)

    def __call__(self, x, mode):
        residual = x if self.downsample is None else self.downsample(x, mode)
        x = relu(self.bn1(self.conv1(x), mode))
        x = relu(self.bn2(self.conv2(x), mode))
        return relu(self.bn3(self.conv3(x), mode) + residual)


class ResNet(Classifier):
    """A residual network; stages stem and layer1 to layer4, of strides 4, 4, 8, 16 and 32."""

    head = "fc"

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        num_classes: int,
        *,
        dtype,
        rngs: nnx.Rngs,
    ):
        self.conv1 = _conv(3, 64, 7, 2, dtype=dtype, rngs=rngs)
        self.bn1 = BatchNorm(64, dtype=dtype, rngs=rngs)
        # Padded by one pixel on each side, not SAME: at even sizes SAME would pad one side only.
        self.maxpool = MaxPool(3, 2, padding=1)
        inputs = 64
        for index, (channels, depth) in enumerate(zip(_CHANNELS, depths, strict=True)):
            blocks = []
            for position in range(depth):
                stride = 2 if index > 0 and position == 0 else 1
                blocks.append(block(inputs, channels, stride, dtype=dtype, rngs=rngs))
                inputs = channels * block.expansion
            setattr(self, f"layer{index + 1}", Sequential(*blocks))
        limit = inputs**-0.5
        self.fc = Linear(
            inputs,
            num_classes,
            kernel_init=uniform(limit),
            bias_init=uniform(limit),
            dtype=dtype,
            rngs=rngs,
        )

    def stages(self):
        return {
            "stem": self._stem,
            "layer1": self.layer1,
            "layer2": self.layer2,
            "layer3": self.layer3,
            "layer4": self.layer4,
        }

    def _stem(self, x, mode):
        return self.maxpool(relu(self.bn1(self.conv1(x), mode)))

    def classify(self, features, mode):
        return self.fc(global_average_pool(features))


def _register(depth: int, block, depths: tuple[int, int, int, int], reported: Reported) -> None:
    def build(num_classes: int, dtype, rngs: nnx.Rngs) -> ResNet:
        return ResNet(block, depths, num_classes, dtype=dtype, rngs=rngs)

    register(f"resnet{depth}", paper=_PAPER, min_size=32, reported=reported)(build)


_SOURCE = "torchvision IMAGENET1K_V1"
_register(18, BasicBlock, (2, 2, 2, 2), Reported(0.69758, 0.89078, _SOURCE))
_register(34, BasicBlock, (3, 4, 6, 3), Reported(0.73314, 0.91420, _SOURCE))
_register(50, Bottleneck, (3, 4, 6, 3), Reported(0.76130, 0.92862, _SOURCE))
_register(101, Bottleneck, (3, 4, 23, 3), Reported(0.77374, 0.93546, _SOURCE))
_register(152, Bottleneck, (3, 8, 36, 3), Reported(0.78312, 0.94046, _SOURCE))
