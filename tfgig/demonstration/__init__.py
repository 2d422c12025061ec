"""What tfgig is shown and tested on: generated scenes, and small models that classify them.

>>> from tfgig import demonstration
>>> images, masks, labels = demonstration.scenes.compose(16, seed=0, split="test")
>>> source = demonstration.load("shapes")
"""

from tfgig.demonstration import scenes
from tfgig.demonstration.dataset import Builtin
from tfgig.demonstration.models import load, located, names

__all__ = ("Builtin", "load", "located", "names", "scenes")
