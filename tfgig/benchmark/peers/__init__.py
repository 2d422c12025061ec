"""Other libraries of attributions, timed in environments of their own, in the same run as tfgig.

None is a dependency, and several cannot share an environment with this project or with each other.
Each runs in a process of its own (`answering`), which imports its own interpreter's packages and of
this one only what lies here; `process` starts and asks them, and `running` compares.
"""
