"""What an export is: its directory, its description, its signatures and their kinds.

Nothing is gathered here: the lower floors read directories and descriptions, and `kinds`, which
builds graphs, stands above the models.
"""
