"""Scenes with known evidence, to demonstrate and test explanations.

Each scene is a photograph over which one object is laid. Its class is the object's shape and
nothing else: position, size, rotation, fill and background are drawn independently of it. Up to
two distractors, irregular blobs and strokes filled in the same way, lie beside the object, hence
an explanation which points at "the colourful thing" may be wrong, and the mask of the object
tells.

    >>> from tfgig.demonstration import scenes
    >>> images, masks, labels = scenes.compose(16, seed=0, split="test")
    >>> scenes.CLASSES[labels[0]]

The photographs are those which are bundled with scikit-image; nothing is downloaded. This module
needs Pillow and scikit-image once `compose()` is called: pip install 'tfgig[pictures]'.
"""

from tfgig.demonstration.scenes.composition import CLASSES, PHOTOGRAPHS, SIZE, Scenes, compose

__all__ = ("CLASSES", "PHOTOGRAPHS", "SIZE", "Scenes", "compose")
