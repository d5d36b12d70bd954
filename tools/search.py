#!/usr/bin/env python
"""The same as ``bmtas search``."""

import sys

from bmtas.cli import run

if __name__ == '__main__':
    sys.exit(run('search'))
