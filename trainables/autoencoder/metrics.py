"""The metrics that the autoencoder reports after every epoch."""

from __future__ import annotations

from trainables.trainable import Metric

METRICS = {
    "val/judge_probability": Metric("max", "all", "probability that the judge gives to the true class"),
    "val/judge_accuracy": Metric("max", "all", "fraction of recordings whose class the judge recognizes"),
    "val/fvu": Metric("min", "all", "fraction of variance unexplained, 48x128, log-power in nats"),
    "val/lsd_db": Metric("min", "all", "log-spectral distance in dB, 48x128"),
    "val/fad": Metric("min", "all", "Fréchet distance to the training clips, in the judge's embeddings"),
    "val/kid": Metric("min", "all", "kernel distance in the same embeddings, unbiased for any number of clips"),
    "val/different_bins": Metric("min", "all", "fraction of bins filled unlike those of the training clips (NDB/K)"),
    "val/diversity": Metric("max", "all", "distance between clips of a class, relative to that of training clips"),
    "val/inception_score": Metric("max", "all", "inception score by the judge, from 1 to the number of classes"),
    "val/mel_lsd_db": Metric("min", "all", "log-spectral distance in dB of sounds, 80 mel bands"),
    "val/phase_error_rad": Metric("min", "all", "mean error of the sounds' phase in rad; π/2 by chance"),
    "val/sample_fad": Metric("min", "all", "val/fad of clips that are decoded from random latents"),
    "val/sample_kid": Metric("min", "all", "val/kid of clips that are decoded from random latents"),
    "val/sample_different_bins": Metric("min", "all", "val/different_bins of clips decoded from random latents"),
    "val/sample_inception_score": Metric("max", "all", "val/inception_score of clips decoded from random latents"),
    "val/fvu_own": Metric("min", "same_representation", "fraction of variance unexplained, in the trial's own units"),
    "val/loss": Metric("min", "same_loss", "the loss on the validation split"),
    "val/variation": Metric(
        "max", "same_representation", "variance between reconstructed clips, relative to that between the clips"
    ),
    "val/bits_per_dim": Metric("min", "same_loss", "negative evidence lower bound in bits per pixel, own units"),
    "val/active_units": Metric("max", "same_loss", "latents whose mean varies between clips (variance above 0.01)"),
    "train/loss": Metric("min", "same_loss", "the loss, mean over the epoch"),
    "train/kl": Metric("min", "same_loss", "KL divergence in nats per pixel, mean over the epoch"),
    "train/min_sigma": Metric("max", "same_loss", "the smallest standard deviation of any pixel in the epoch"),
    "train/discriminator_loss": Metric(
        "max", "same_loss", "loss of the discriminators, mean over the epoch; 0.25 if they can't tell clips apart"
    ),
    "val/codebook_perplexity": Metric(
        "max", "same_loss", "codes in use, as e to the entropy of their use, mean over codebooks; 1 if one is all"
    ),
    "val/codes_used": Metric("max", "same_loss", "fraction of the codes that any validation clip uses"),
    "val/active_vectors": Metric(
        "max", "same_loss", "vectors of a latent whose codes differ between clips; 0 is a collapse"
    ),
    "val/latent_bits": Metric("min", "same_loss", "bits of a clip's codes by their entropy"),
    "train/grad_norm": Metric("min", "same_loss", "norm of the gradient before clipping, mean over the epoch"),
    "train/nonfinite_steps": Metric("min", "all", "steps of the epoch skipped because of a non-finite gradient"),
    "optim/lr": Metric("min", "all", "learning rate of the last step"),
}

BETWEEN_CLIPS = {"val/variation", "val/active_units", "val/active_vectors"}
"""Metrics of what varies between the validation clips: NaN where these do not differ, such as a single one."""
MAGNITUDE_METRICS = {
    "val/judge_probability",
    "val/judge_accuracy",
    "val/fvu",
    "val/lsd_db",
    "val/fad",
    "val/kid",
    "val/different_bins",
    "val/diversity",
    "val/inception_score",
    "val/sample_fad",
    "val/sample_kid",
    "val/sample_different_bins",
    "val/sample_inception_score",
}
"""Metrics that a trial with `channels: phase` does not report."""
