"""Composing scenes: a photograph, an object whose shape is the class, and distractors."""

import functools
import importlib
import importlib.resources
import math
import numbers
from typing import Any, NamedTuple

import numpy as np

from tfgig.demonstration.scenes.outlines import blob, outline, stroke

CLASSES: tuple[str, ...] = (
    "disc",
    "square",
    "triangle",
    "star",
    "heart",
    "crescent",
    "ring",
    "cross",
)
SIZE = 96

# The files of each split, disjoint: neither the backgrounds nor the textures of "test" are ever
# seen in training. The two motorcycles of scikit-image show one scene, hence only one is used. The
# coffee is for training, since its cup and saucer have the outlines of classes (disc, ring and
# crescent): a model must learn to tell them from what is laid over a photograph, whereas as test
# photographs they would make it unclear where the evidence is.
PHOTOGRAPHS: dict[str, tuple[str, ...]] = {
    "train": (
        "astronaut.png",
        "brick.png",
        "coffee.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "moon.png",
        "motorcycle_left.png",
        "retina.jpg",
    ),
    "test": ("camera.png", "chelsea.png", "grass.png", "rocket.jpg"),
}

# Grey photographs are toned around these hues (fractions of a turn), so that colour does not tell
# objects from backgrounds.
_GREY_HUES = {
    "brick.png": 0.03,
    "camera.png": 0.1,
    "grass.png": 0.27,
    "gravel.png": 0.6,
    "moon.png": 0.62,
}
_SUPERSAMPLING = 4
_MARGIN = 3  # Pixels between an object's outline and the edge of the image.
_RIM = 1.5  # Pixels by which a mask exceeds the object.


class Scenes(NamedTuple):
    """Images, and where the evidence for their classes is.

    Attributes:
      images: uint8 [n, 96, 96, 3], RGB, 0 to 255.
      masks: bool [n, 96, 96], True on the object and on a rim of one to two pixels around it.
      labels: int64 [n], indices into `CLASSES`.
    """

    images: np.ndarray
    masks: np.ndarray
    labels: np.ndarray


class _Item(NamedTuple):
    """Something to lay over a photograph: [p, p] opacity 0..1, and its top left corner."""

    alpha: np.ndarray
    top: int
    left: int


def compose(count: int, *, seed: int, split: str = "train") -> Scenes:
    """Returns `count` random scenes, the same ones whenever the seed and the split are the same.

    The classes are balanced: each run of 8 scenes, from the first, has every class once, in random
    order. A scene depends on the seed, the split and its own index only, hence the first scenes of
    a large count are those of a small one.

    Args:
      count: How many scenes, at least 1. It takes a few milliseconds per scene.
      seed: Which scenes, an integer of at least 0.
      split: "train" or "test", two sets of photographs which share none (see `PHOTOGRAPHS`).

    Returns:
      A `Scenes` tuple: `images` uint8 [count, 96, 96, 3], `masks` bool [count, 96, 96] and
      `labels` int64 [count].

    Raises:
      ValueError: If an argument is out of its range.
      ImportError: If Pillow or scikit-image is missing.
    """
    if split not in PHOTOGRAPHS:
        raise ValueError(f'`split` must be "train" or "test". Received: split={split!r}')
    for name, value, least in (("count", count, 1), ("seed", seed, 0)):
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
            raise ValueError(
                f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}"
            )
    entropy = (int(seed), tuple(PHOTOGRAPHS).index(split))
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    masks = np.empty((count, SIZE, SIZE), bool)
    labels = np.empty(count, np.int64)
    for index in range(count):
        run, place = divmod(index, len(CLASSES))
        # The 1 at the end of the second seed keeps the two streams of numbers apart.
        order = np.random.default_rng((*entropy, run)).permutation(len(CLASSES))
        labels[index] = order[place]
        random = np.random.default_rng((*entropy, index, 1))
        images[index], masks[index] = _scene(random, CLASSES[order[place]], PHOTOGRAPHS[split])
    return Scenes(images, masks, labels)


def _scene(
    random: np.random.Generator, shape: str, photographs: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns one image, uint8 [96, 96, 3], and its mask, bool [96, 96]."""
    background, *others = random.permutation(photographs)
    canvas = _background(random, background)
    light = math.radians(random.uniform(200, 250))  # From the top left, give or take.
    patch = _stencil(random, outline(shape), SIZE * random.uniform(0.28, 0.52))
    # A patch is a little wider than the object on it, by the margin at each side.
    top, left = random.integers(0, SIZE - len(patch) + 1, size=2)
    item = _Item(patch, int(top), int(left))
    morphology = _imported("skimage.morphology")
    mask = morphology.isotropic_dilation(_spread(*item) >= 0.5, _RIM)
    occupied = morphology.isotropic_dilation(mask, 2)
    # The object comes last, so that nothing ever covers it.
    for laid in [*_distractors(random, occupied), item]:
        colour = _fill(random, laid, canvas, others)
        _lay(canvas, laid, colour, light)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8), mask


def _imported(name: str) -> Any:
    """Returns the module called `name`, of a package which only this module of tfgig needs."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"tfgig.demonstration needs Pillow and scikit-image, but {name!r} cannot be imported "
            f"({error}). To install them: pip install 'tfgig[pictures]'"
        ) from error


@functools.cache
def _photograph(name: str) -> Any:
    """Returns a photograph bundled with scikit-image, an RGB `PIL.Image.Image`."""
    pillow = _imported("PIL.Image")
    _imported("skimage")
    path = importlib.resources.files("skimage.data").joinpath(name)
    with path.open("rb") as file:
        image = pillow.open(file).convert("RGB")
    if name == "retina.jpg":  # A round photograph: keep a square inside it.
        image = image.crop((230, 230, 1180, 1180)).resize((512, 512), pillow.Resampling.LANCZOS)
    return image


def _crop(random: np.random.Generator, name: str, least: float, most: float, size: int) -> Any:
    """Returns a random square of a photograph, float32 [size, size, 3], 0 to 255.

    Its side is `least` to `most` pixels of the photograph, or what the photograph has.
    """
    pillow = _imported("PIL.Image")
    image = _photograph(name)
    most = min(most, *image.size)
    side = math.exp(random.uniform(math.log(min(least, most)), math.log(most)))
    left, top = (random.uniform(0, length - side) for length in image.size)
    box = (left, top, left + side, top + side)
    crop = image.resize((size, size), pillow.Resampling.HAMMING, box=box)
    pixels = np.asarray(crop, np.float32)
    return pixels[:, ::-1] if random.random() < 0.5 else pixels


def _background(random: np.random.Generator, name: str) -> np.ndarray:
    """Returns a crop of a photograph to compose on, float32 [96, 96, 3], 0 to 255."""
    pixels = _crop(random, name, 150, 480, SIZE)
    if name in _GREY_HUES:
        hue = _GREY_HUES[name] + random.uniform(-0.06, 0.06)
        tone = _colours(hue, random.uniform(0.15, 0.45), 1.0)
        pixels = pixels * (tone / tone.mean())
    # A little darker and out of focus, as behind something in the foreground.
    blurred = _imported("skimage.filters").gaussian(
        pixels, random.uniform(0.1, 0.9), channel_axis=-1, preserve_range=True
    )
    return np.clip(blurred * random.uniform(0.7, 1.0), 0, 255).astype(np.float32)


def _colours(hue: Any, saturation: Any, value: Any) -> np.ndarray:
    """Returns RGB colours 0..1, float32 [..., 3], of hues in turns (wrapped around)."""
    channels = np.stack(np.broadcast_arrays(np.mod(hue, 1.0), saturation, value), axis=-1)
    return _imported("skimage.color").hsv2rgb(channels).astype(np.float32)


def _fill(
    random: np.random.Generator, item: _Item, canvas: np.ndarray, photographs: list[str]
) -> np.ndarray:
    """Returns a random fill, float32 [p, p, 3], 0 to 255, which stands out from the canvas."""
    behind = canvas[_spread(*item) > 0.5].mean(axis=0)
    candidates = random.uniform((0, 0.5, 0.75), (1, 0.95, 1), size=(8, 3))
    contrasts = np.linalg.norm(255 * _colours(*candidates.T) - behind, axis=-1)
    # The first of them which is far enough from what is behind, or else the farthest.
    hue, saturation, value = candidates[np.argmax(np.minimum(contrasts, 140))]
    size = len(item.alpha)
    angle = random.uniform(0, 2 * math.pi)
    across = np.linspace(-0.5, 0.5, size)
    ramp = across * math.cos(angle) + across[:, np.newaxis] * math.sin(angle)
    turn = random.choice((-1, 1)) * random.uniform(0.06, 0.28)
    colours = 255 * _colours(hue + turn * ramp, saturation, value)
    if random.random() < 0.5:
        return colours
    texture = _crop(random, random.choice(photographs), 1.5 * size, 4 * size, size).mean(axis=-1)
    low, high = np.percentile(texture, (2, 98))
    relief = np.clip((texture - low) / max(high - low, 1), 0, 1)[..., np.newaxis]
    return colours * (0.45 + 0.55 * relief) + 70 * relief**3


def _lay(canvas: np.ndarray, item: _Item, colour: np.ndarray, light: float) -> None:
    """Paints an item with its shadow over `canvas`, in place, lit from the angle `light`."""
    gaussian = _imported("skimage.filters").gaussian
    alpha, top, left = item
    towards = np.array((math.cos(light), math.sin(light)))
    thickness = max(1.3, 0.05 * len(alpha))
    slope_down, slope_right = np.gradient(gaussian(alpha, thickness))
    # The slope of a rounded edge towards the light, about -1..1 whatever the thickness.
    facing = -2.2 * thickness * (slope_right * towards[0] + slope_down * towards[1])
    shade = 1 + 0.55 * np.where(facing > 0, 0.5, 1.0) * facing
    gloss = 110 * np.clip(facing - 0.35, 0, 1) ** 1.5
    lit = colour * shade[..., np.newaxis] + gloss[..., np.newaxis]
    down, right = np.rint(-3 * towards[::-1]).astype(int)
    shadow = gaussian(_spread(alpha, top + down, left + right), 1.8)
    canvas *= 1 - 0.55 * shadow[..., np.newaxis]
    opacity = _spread(alpha, top, left)[..., np.newaxis]
    canvas += opacity * (_spread(np.clip(lit, 0, 255), top, left) - canvas)


def _spread(patch: np.ndarray, top: int, left: int) -> np.ndarray:
    """Returns a canvas of zeros, [96, 96, ...], with `patch` at the place, clipped to it."""
    size = len(patch)
    canvas = np.zeros((SIZE + 2 * size, SIZE + 2 * size, *patch.shape[2:]), np.float32)
    canvas[top + size : top + 2 * size, left + size : left + 2 * size] = patch
    return canvas[size:-size, size:-size]


def _distractors(random: np.random.Generator, occupied: np.ndarray) -> list[_Item]:
    """Returns 0 to 2 items without a class, beside the `occupied` pixels (bool [96, 96])."""
    items: list[_Item] = []
    for _ in range(random.integers(0, 3)):
        contour = blob(random) if random.random() < 0.5 else stroke(random)
        patch = _stencil(random, [contour], SIZE * random.uniform(0.2, 0.42))
        for _ in range(20):
            # They may reach over the edge of the image by a third.
            low, high = -len(patch) // 3, SIZE - 2 * len(patch) // 3
            item = _Item(patch, *(int(place) for place in random.integers(low, high, size=2)))
            if _spread(*item)[occupied].sum() < 0.02 * patch.sum():
                items.append(item)
                break
    return items


def _stencil(random: np.random.Generator, contours: list[np.ndarray], extent: float) -> np.ndarray:
    """Returns a shape as opacity, float32 [p, p], 0 to 1, turned at random.

    Args:
      random: Where the rotation and a slight squeeze come from.
      contours: The outline, [k, 2], and the outlines of holes, in any unit.
      extent: The longer side of the bounding box of the turned shape, in pixels.
    """
    angle, squeeze = random.uniform(0, 2 * math.pi), random.uniform(0.9, 1.0)
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array(((cosine, -sine), (sine, cosine))) @ np.diag((1, squeeze))
    turned = [contour @ turn.T for contour in contours]
    low, high = turned[0].min(axis=0), turned[0].max(axis=0)
    size = math.ceil(extent) + 2 * _MARGIN
    scale = _SUPERSAMPLING * extent / (high - low).max()
    image = _imported("PIL.Image").new("L", (size * _SUPERSAMPLING,) * 2)
    draw = _imported("PIL.ImageDraw").Draw(image)
    for index, contour in enumerate(turned):
        points = (contour - (low + high) / 2) * scale + size * _SUPERSAMPLING / 2
        draw.polygon([tuple(point) for point in points.tolist()], fill=0 if index else 255)
    # A blur, made steep again, rounds the corners.
    blur = _imported("PIL.ImageFilter").GaussianBlur(0.025 * extent * _SUPERSAMPLING)
    soft = np.asarray(image.filter(blur), np.float32) / 255
    sharp = np.clip((soft - 0.5) * 4 + 0.5, 0, 1)
    return sharp.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING).mean(axis=(1, 3))
