"""Lightning: Trainer(logger=PosterLogger())"""

import poster
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


class PosterLogger(Logger):
    @property
    def name(self):
        return "poster"

    @property
    def version(self):
        return poster.run_id

    @property
    def save_dir(self):
        return poster.files_dir  # Lightning's own checkpoints become files of the run

    @rank_zero_only
    def log_hyperparams(self, params, *args, **kwargs):
        poster.log_config(params)

    @rank_zero_only
    def log_metrics(self, metrics, step=None):
        metrics = dict(metrics)
        epoch = metrics.pop("epoch", None)
        poster.log_metrics(metrics, step=step, epoch=epoch)

    @rank_zero_only
    def log_image(self, key, images, step=None, **kwargs):
        poster.log_images(key, images, step=step, captions=kwargs.get("caption"))
