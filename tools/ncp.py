#!/usr/bin/env python
"""The same as ``bmtas ncp``, the command of the plug-in bmtas.ncp."""

import sys

from bmtas.cli.base import run_tool
from bmtas.ncp.cli import main

if __name__ == '__main__':
    sys.exit(run_tool(main))
