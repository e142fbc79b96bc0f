"""The callbacks in examples/callbacks, called as their frameworks call them. Stand-ins for the frameworks: what is
tested is what the examples make of it."""

from client_case import ClientTest
from harness import HERE, main

EXAMPLES = HERE.parent.parent / "examples" / "callbacks"

STAND_INS = f"""
import types
sys.path.append({str(EXAMPLES)!r})

def module(name, **content):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(content)
    parent, _, last = name.rpartition('.')
    if parent: setattr(sys.modules[parent], last, sys.modules[name])

class Base: pass
module('keras'); module('keras.callbacks', Callback=Base)
module('transformers', TrainerCallback=Base)
module('lightning'); module('lightning.pytorch'); module('lightning.pytorch.loggers', Logger=Base)
module('lightning.pytorch.utilities', rank_zero_only=lambda function: function)
"""


class Callbacks(ClientTest):
    def example(self, code):
        """Runs it in a run and outside; gives what it logged."""
        self.assertEqual(self.call(STAND_INS + code, inside=False).stderr, "")
        self.assertEqual(self.call(STAND_INS + code).stderr, "")
        return [(line["kind"], line.get("values"), line.get("step"), line.get("epoch")) for line in self.lines()]

    def test_keras(self):
        found = self.example("""
from keras_callback import PosterCallback
callback = PosterCallback(every_batches=2)
for batch in range(3): callback.on_train_batch_end(batch, {'loss': 0.5})
callback.on_epoch_end(0, {'loss': 0.5, 'val_loss': 0.75})
callback.on_epoch_end(1, None)
""")
        self.assertEqual(
            found,
            [("metric", {"batch/loss": 0.5}, 2, None), ("metric", {"loss": 0.5, "val_loss": 0.75}, 0, 0)],
        )

    def test_the_trainer_of_hugging_face(self):
        found = self.example("""
from transformers_callback import PosterCallback
callback, arguments = PosterCallback(), types.SimpleNamespace(to_dict=lambda: {'lr': 0.1, 'hub_token': 'hunter2hunter'})
for zero in (False, True):
    state = types.SimpleNamespace(is_world_process_zero=zero, global_step=5, epoch=0.5, best_metric=0.25, best_model_checkpoint='c')
    callback.on_train_begin(arguments, state, None)
    callback.on_log(arguments, state, None, logs={'loss': 0.5, 'note': 'x'})
    callback.on_train_end(arguments, state, None)
""")
        self.assertEqual(
            found,
            [
                ("config", {"lr": 0.1, "hub_token": "<redacted>"}, None, None),
                ("metric", {"loss": 0.5}, 5, 0.5),
                ("summary", {"best_metric": 0.25, "best_model_checkpoint": "c"}, None, None),
            ],
        )

    def test_lightning(self):
        found = self.example("""
from lightning_logger import PosterLogger
logger = PosterLogger()
logger.log_hyperparams({'lr': 0.1})
logger.log_metrics({'loss': 0.5, 'epoch': 2}, step=7)
logger.log_image('samples', [[[0.5]]], step=7, caption=['one'])
assert (logger.name, logger.version, logger.save_dir) == ('poster', poster.run_id, poster.files_dir)
""")
        self.assertEqual(
            found,
            [
                ("config", {"lr": 0.1}, None, None),
                ("metric", {"loss": 0.5}, 7, 2),
                ("image", None, 7, None),
            ],
        )


if __name__ == "__main__":
    main()
