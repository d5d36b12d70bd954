#!/usr/bin/env python
"""The same as ``bmtas extract``, the command of the plug-in bmtas.task_routing."""

import sys

from bmtas.cli.base import run_tool
from bmtas.task_routing.extract_cli import main

if __name__ == '__main__':
    sys.exit(run_tool(main))
