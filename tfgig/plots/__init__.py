"""Pictures of explanations: images, tokens, tables and series, drawn with matplotlib."""

from tfgig.plots.plot import plot
from tfgig.plots.record import Explanation
from tfgig.plots.subject import Subject

__all__ = ("Explanation", "Subject", "plot")
