"""Graphs: a model's graph laid out, checked row by row, and cut where it is explained."""
