"""``python -m bmtas`` is the command ``bmtas``."""

import sys

from bmtas.cli import main

if __name__ == '__main__':
    sys.exit(main())
