"""The baselines of the autoencoder, and the features and judge that its trials share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trainables.autoencoder.config import AutoencoderConfig
from trainables.components.assessment.references import References
from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.log_power_metrics import COMMON_SIZE
from trainables.components.representation.registries import PHASES
from trainables.support.progress import Progress

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


def reference_lines(configs: Sequence[AutoencoderConfig], corpus: Corpus, progress: Progress) -> list[dict[str, Any]]:
    """Return the baselines, after computing the features and the judge that trials share.

    Where the configs compare several phases, each of them is a baseline too, on original magnitudes and on class means.

    Args:
        configs: the settings of every arm.
        corpus: where features, judge and baselines are cached.
        progress: called while something is computed.
    """
    features = dict.fromkeys(feature for config in configs for feature in config.clip_representation.features)
    for feature in {**features, Feature(Grid(COMMON_SIZE)): None}:
        corpus.features(feature, progress)
    for phase in dict.fromkeys(config.phase for config in configs):
        if (prepare := PHASES[phase].prepare) is not None:
            prepare(corpus, progress)
    references = References(corpus, progress)
    with_magnitudes = [config for config in configs if config.channels != "phase"]
    grids = dict.fromkeys(config.clip_representation.grid for config in with_magnitudes)
    latents = dict.fromkeys((config.clip_representation.grid, config.latent_dim) for config in with_magnitudes)
    phases = dict.fromkeys(config.phase for config in configs)
    if len(phases) > 1:
        # The phase of the model itself needs a model.
        compared = [phase for phase in phases if phase != "own"]
    else:
        compared = []
    return [
        references.real_clips_line(),
        *(line for grid in grids for line in references.grid_lines(grid)),
        *(references.pca_line(grid, latent_dim) for grid, latent_dim in latents),
        *(line for phase in compared for line in references.phase_lines(phase, [*grids][:1])),
    ]
