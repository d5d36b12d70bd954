#!/usr/bin/env python
"""The same as ``bmtas test``."""

import sys

from bmtas.cli import run

if __name__ == '__main__':
    sys.exit(run('test'))
