"""Hugging Face Trainer: Trainer(…, callbacks=[PosterCallback()])"""

import poster
import transformers


class PosterCallback(transformers.TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            poster.log_config(args.to_dict())

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero:
            numbers = {name: value for name, value in (logs or {}).items() if isinstance(value, (int, float))}
            poster.log_metrics(numbers, step=state.global_step, epoch=state.epoch)

    def on_train_end(self, args, state, control, **kwargs):
        if state.is_world_process_zero and state.best_metric is not None:
            poster.set_summary(best_metric=state.best_metric, best_model_checkpoint=state.best_model_checkpoint)
