"""Keras: model.fit(…, callbacks=[PosterCallback()])"""

import keras
import poster


class PosterCallback(keras.callbacks.Callback):
    def __init__(self, every_batches=0):
        """`every_batches` logs the metrics of every so many batches as well; 0: of epochs only."""
        super().__init__()
        self.every_batches = every_batches
        self.batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if self.every_batches and self.batches % self.every_batches == 0:
            poster.log_metrics({f"batch/{name}": value for name, value in (logs or {}).items()}, step=self.batches)

    def on_epoch_end(self, epoch, logs=None):
        poster.log_metrics(logs or {}, step=epoch, epoch=epoch)
