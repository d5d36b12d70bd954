"""bmtas: branched multi-task networks under a compute budget.

Nothing heavy is imported here; import the rooms (``bmtas.branching``, ``bmtas.models`` ...) you need.
"""

__version__ = '0.1.0'
