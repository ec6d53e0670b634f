"""An `Explanation` as one self-contained HTML page, and its pictures as files."""

import base64
import html
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import cv2
import numpy as np

from benchmarks.explain.explanation import Channel, Explanation, Stage
from results.records import files

# Pixels a side that are kept: the page has hundreds of small pictures and a few large ones.
_SMALL, _LARGE = 88, 224
FILE_NAME = "explain.html"
_STYLE = "page.css"


def write(explanation: Explanation, out: Path, pngs: bool = False) -> list[Path]:
    """Returns the page, `out/explain.html`, after writing it and, with `pngs`, every picture of it below `out/pngs/`.

    Raises:
      OSError: the folder cannot be written.
    """
    pictures: dict[str, bytes] = {}
    page = out / FILE_NAME
    files.write_atomically(page, render(explanation, pictures))
    if pngs:
        for name, data in pictures.items():
            files.write_atomically(out / "pngs" / f"{name}.png", data)
    return [page]


def render(explanation: Explanation, pictures: dict[str, bytes] | None = None) -> str:
    """Returns the page.

    Args:
      explanation: what to show.
      pictures: is filled with the PNG of each picture on the page, by a name for its file.
    """
    pictures = {} if pictures is None else pictures
    body = [
        *_decision(explanation, pictures),
        *_filters(explanation, pictures),
        _legend(explanation),
        *(line for stage in explanation.stages for line in _stage(explanation, stage, pictures)),
    ]
    style = resources.files("benchmarks.explain").joinpath(_STYLE).read_text()
    title = f"What {explanation.model} has learned"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{_text(title)}</title><style>{style}</style></head><body><main>",
            f"<h1>{_text(title)}</h1>",
            f'<p class="source">Weights: {_text(explanation.source)}. Picture:'
            f" {_text(explanation.picture_name)}, {len(explanation.picture)} pixels a side."
            f"{''.join(f' Changed: {_text(each)}.' for each in explanation.remarks)}</p>",
            _contents(explanation),
            *body,
            "</main></body></html>",
            "",
        ]
    )


def _contents(explanation: Explanation) -> str:
    links = [("decision", "Decision"), ("filters", "Filters")]
    links += [(f"stage-{_slug(stage.name)}", stage.name) for stage in explanation.stages]
    return "<nav>" + "".join(f'<a href="#{to}">{_text(name)}</a>' for to, name in links) + "</nav>"


def _decision(explanation: Explanation, pictures: dict[str, bytes]) -> Iterator[str]:
    picture = explanation.picture
    (cam,) = (each.cam for each in explanation.stages if each.name == explanation.cam_stage)
    lost = explanation.occlusion
    label, decided = explanation.labels[0], ", ".join(explanation.decision) or "none"
    yield '<section id="decision">'
    yield f"<h2>Decision: <b>{_text(decided)}</b></h2>"
    yield '<div class="answer"><div class="trio">'
    shown = (
        ("picture", "The picture", _large(picture)),
        (
            "grad-cam",
            f"Grad-CAM at {explanation.cam_stage}: what speaks for {label}",
            _overlay(picture, cam),
        ),
        (
            "occlusion",
            f"Occlusion: hiding it costs up to {max(0.0, float(lost.max())):.1%} of confidence in {label}",
            _overlay(picture, np.maximum(lost, 0)),
        ),
    )
    for name, caption, image in shown:
        yield _figure(image, f"decision/{name}", caption, pictures)
    yield '</div><table class="bars"><caption>Confidences</caption>'
    for name, confidence in zip(explanation.labels, explanation.confidences, strict=True):
        yield (
            f"<tr><th>{_text(name)}</th>"
            f'<td><meter min="0" max="1" value="{confidence:.4f}"></meter></td>'
            f"<td>{confidence:.1%}</td></tr>"
        )
    yield "</table></div>"
    yield (
        '<p class="note">Bright is more. Grad-CAM (Selvaraju et al. 2017) weighs the maps of a stage by what each'
        " does for the answer; occlusion (Zeiler and Fergus 2014) hides a square at a time and sees what confidence"
        " is lost.</p></section>"
    )


def _filters(explanation: Explanation, pictures: dict[str, bytes]) -> Iterator[str]:
    filters = explanation.filters
    count, height, width, _ = filters.shape
    gray = bool((explanation.picture == explanation.picture[..., :1]).all())
    if gray:
        filters = filters.sum(-1, keepdims=True).repeat(3, -1)
    shown = (
        "bright adds and dark takes away, summed over the colors, for the picture is gray"
        if gray
        else "a color is what each channel adds or takes away"
    )
    yield '<section id="filters"><h2>Filters of the first convolution</h2>'
    yield (
        f'<p class="note">{count} kernels of {height}&times;{width} pixels; middle gray is 0,'
        f" {shown}.</p>"
    )
    yield '<div class="filters">'
    for index, kernel in enumerate(filters):
        largest = np.abs(kernel).max() or 1
        image = np.round(127.5 + 127.5 * kernel / largest).astype(np.uint8)
        yield _image(image, f"filters/{index:03d}", f"filter {index}", pictures)
    yield "</div></section>"


def _legend(explanation: Explanation) -> str:
    return (
        '<p class="note legend">Each stage below shows the channels that this picture excites most: where they'
        " respond to it (the map, dark to bright, with its lowest and highest value), a synthetic input made to"
        f" excite it by {explanation.steps} steps of gradient ascent (Erhan et al. 2009, Olah et al. 2017), and"
        " the pictures of the dataset that excite it most. The number below a picture is the highest value that the"
        " channel has anywhere in it.</p>"
    )


def _stage(explanation: Explanation, stage: Stage, pictures: dict[str, bytes]) -> Iterator[str]:
    height, width, channels = stage.shape
    count, split = explanation.searched
    slug = _slug(stage.name)
    yield f'<section id="stage-{slug}"><h2>{_text(stage.name)}'
    yield f" <small>{channels:,} channels of {height}&times;{width}</small></h2>"
    yield '<div class="stage"><div class="cam">'
    cam = _overlay(explanation.picture, stage.cam)
    yield _figure(cam, f"{slug}/grad-cam", "Grad-CAM here", pictures)
    yield '</div><div class="channels"><table><thead><tr><th>channel</th><th>its map</th>'
    yield "<th>synthetic</th>"
    if count:
        yield f"<th>most exciting of {count:,} pictures ({_text(split)})</th>"
    yield "</tr></thead><tbody>"
    for channel in stage.channels:
        yield from _channel(channel, slug, pictures)
    yield "</tbody></table></div></div></section>"


def _channel(channel: Channel, slug: str, pictures: dict[str, bytes]) -> Iterator[str]:
    name = f"{slug}/channel-{channel.index:04d}"
    yield f"<tr><th>{channel.index}</th>"
    mapped = _image(_colored(channel.map), f"{name}-map", "feature map", pictures)
    yield f'<td>{mapped}<span class="value">{channel.map.min():.3g} to {channel.map.max():.3g}</span></td>'
    synthetic = _image(_small(channel.synthetic), f"{name}-synthetic", "synthetic input", pictures)
    yield f'<td>{synthetic}<span class="value">{channel.synthetic_peak:.3g}</span></td>'
    if len(channel.pictures):
        yield '<td><div class="row">'
        for place, (picture, peak) in enumerate(zip(channel.pictures, channel.peaks, strict=True)):
            shown = _image(_small(picture), f"{name}-picture-{place}", "picture", pictures)
            yield f'<span>{shown}<span class="value">{peak:.3g}</span></span>'
        yield "</div></td>"
    yield "</tr>"


def _figure(image: np.ndarray, name: str, caption: str, pictures: dict[str, bytes]) -> str:
    shown = _image(image, name, caption, pictures)
    return f"<figure>{shown}<figcaption>{_text(caption)}</figcaption></figure>"


def _image(image: np.ndarray, name: str, alt: str, pictures: dict[str, bytes]) -> str:
    pictures[name] = data = encode_png(image)
    address = base64.b64encode(data).decode()
    kind = ' class="pixels"' if len(image) < _SMALL else ""
    return f'<img{kind} alt="{_text(alt)}" src="data:image/png;base64,{address}">'


def encode_png(image: np.ndarray) -> bytes:
    """Returns a PNG of the picture, uint8 [height, width, 3], with a single channel if it is gray."""
    gray = bool((image == image[..., :1]).all())
    image = image[..., 0] if gray else image[..., ::-1]
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def _small(image: np.ndarray) -> np.ndarray:
    if len(image) <= _SMALL:
        return image
    return cv2.resize(image, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)


def _large(image: np.ndarray) -> np.ndarray:
    """Returns the picture enlarged to about `_LARGE` pixels a side in whole steps, or reduced to that."""
    if len(image) >= _LARGE:
        return cv2.resize(image, (_LARGE, _LARGE), interpolation=cv2.INTER_AREA)
    times = max(1, _LARGE // len(image))
    return image.repeat(times, 0).repeat(times, 1)


def _colored(values: np.ndarray) -> np.ndarray:
    """Returns uint8 [height, width, 3], dark where values are lowest and bright where they are highest."""
    span = float(values.max() - values.min()) or 1.0
    scaled = np.round(255 * (values - values.min()) / span).astype(np.uint8)
    return cv2.applyColorMap(scaled, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def _overlay(picture: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the picture in gray with values (not negative, of any size) over it in color: bright where highest."""
    base = _large(picture)
    side = len(base)
    heat = cv2.resize(values.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    heat = np.clip(heat / (float(values.max()) or 1.0), 0, 1)
    color = cv2.applyColorMap(np.round(255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)
    gray = base.mean(-1, keepdims=True).repeat(3, -1)
    share = 0.25 + 0.5 * heat[..., None]
    return np.round((1 - share) * gray + share * color[..., ::-1]).astype(np.uint8)


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def _text(text: str) -> str:
    return html.escape(str(text))
