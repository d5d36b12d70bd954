"""Ways of sharing an encoder between tasks."""

from bmtas.models.encoders.base import (
    STEM,
    Encoder,
    Features,
    Part,
    SearchableEncoder,
    encoder_class,
)
from bmtas.models.encoders.branched import BranchedEncoder, resolve_routes
from bmtas.models.encoders.cross_stitch import CrossStitchEncoder
from bmtas.models.encoders.mtan import MTANEncoder
from bmtas.models.encoders.nddr import NDDREncoder
from bmtas.models.encoders.single_task import SingleTaskEncoder
from bmtas.models.encoders.supergraph import SupergraphEncoder
from bmtas.models.encoders.transfer import load_candidates

__all__ = [
    'STEM',
    'BranchedEncoder',
    'CrossStitchEncoder',
    'Encoder',
    'Features',
    'MTANEncoder',
    'NDDREncoder',
    'Part',
    'SearchableEncoder',
    'SingleTaskEncoder',
    'SupergraphEncoder',
    'encoder_class',
    'load_candidates',
    'resolve_routes',
]
