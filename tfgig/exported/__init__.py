"""What an export is: its directory, its description, its signatures and their kinds.

This package re-exports nothing: lower layers read directories and descriptions, and `kinds`, which
builds graphs, depends on the models.
"""
