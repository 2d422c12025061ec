"""Command-line programs, each installed as tfgig-<name>: export, explain, evaluate and others."""

from tfgig_tools.ending import end_when_told
from tfgig_tools.later import import_later

end_when_told()
import_later()
