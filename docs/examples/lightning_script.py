"""A script of PyTorch Lightning, which knows nothing of orchestrate; `lightning_script.yaml` searches it."""

import argparse
from pathlib import Path

import pytorch_lightning as lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset


class Sine(lightning.LightningModule):
    def __init__(self, width: int, lr: float) -> None:
        super().__init__()
        self.network, self.lr = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1)), lr

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        return nn.functional.mse_loss(self.network(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        self.log("val_loss", nn.functional.mse_loss(self.network(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.lr)

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        # Lightning's checkpoint has no random state: the order of an epoch follows from its number instead.
        order = torch.randperm(300, generator=torch.Generator().manual_seed(1000 * options.seed + self.current_epoch))
        return DataLoader(Subset(data, order.tolist()), batch_size=50)

    def val_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return DataLoader(Subset(data, range(300, 400)), batch_size=100)


class Report(lightning.Callback):
    def on_train_epoch_end(self, trainer: lightning.Trainer, model: lightning.LightningModule) -> None:
        # First the checkpoint, then the line: whoever reads the line knows that the epoch is saved.
        trainer.save_checkpoint(options.checkpoint)
        print(f"epoch {trainer.current_epoch + 1}: val_loss={trainer.callback_metrics['val_loss']:.8f}", flush=True)


parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--width", type=int, default=32)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--checkpoint", type=Path, default=Path("lightning.ckpt"))
options = parser.parse_args()

lightning.seed_everything(options.seed)
x = 6 * torch.rand(400, 1, generator=torch.Generator().manual_seed(0)) - 3
data = TensorDataset(x, torch.sin(2 * x))
trainer = lightning.Trainer(
    max_epochs=options.epochs,
    callbacks=[Report()],
    reload_dataloaders_every_n_epochs=1,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
resumed = options.checkpoint if options.checkpoint.exists() else None
trainer.fit(Sine(options.width, options.lr), ckpt_path=resumed, weights_only=True)
