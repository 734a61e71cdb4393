# %% [markdown]
# # Pretraining on your own corpus
#
# This example trains an encoder without labels, from files of poses to a folder for `load_pretrained`. To run it, use
# `pip install '.[examples]'` and `python examples/pretraining_on_your_own_corpus.py`. It uses synthetic clips; to use
# your own corpus, append its files, in any format that `skelrep.read` supports.
#
# It takes about ten minutes on one core of a CPU. The environment variable `SKELREP_STEPS` sets the number of steps; 20
# steps only test that everything runs.

# %%
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
from motion import make_clips  # examples/motion.py

from skelrep import Encoder, knn_eval, load_pretrained
from skelrep.train.prepare import prepare
from skelrep.train.run import export, run

files = [] if hasattr(sys, "ps1") else sys.argv[1:]  # in a notebook, the arguments belong to the kernel
steps = int(os.environ.get("SKELREP_STEPS", "1000"))
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## A corpus
# All poses are mapped to the encoder's skeleton and stored in a folder that training maps into memory. Use as many
# hours and kinds of movement as you can; here, there are 1200 clips of ten persons. On the command line:
# `skelrep prepare FILE ... --to common-15 -o corpus`.

# %%
licence = None  # of your data and the encoder, in the Hub's spelling, for the model card
if not files:
    make_clips(1200, seed=1).save(folder / "people.npz")
    files, licence = [folder / "people.npz"], "cc0-1.0"
corpus = prepare(files, folder / "corpus", skeleton="common-15", licence=licence)
for source in corpus["sources"]:
    print(f"{source['name']}: {source['clips']} clips, {60 * source['hours']:.0f} minutes")

# %% [markdown]
# ## A run
# The recipe is `i2md_small` with fewer and smaller steps, and with float32, because bfloat16 is slow on some
# processors. The encoder is evaluated during the run on the labelled clips of `monitor`, which does not affect
# training. To resume a run that was stopped, repeat the call. On the command line: `skelrep pretrain i2md_small --data
# corpus -o run --monitor labelled.npz --set steps=1000 batch=128 ...`.

# %%
labelled = make_clips(120).windows(1.0)  # other persons; clips are cut to one second, so some movements are incomplete
labelled.save(folder / "labelled.npz")
changes = [f"steps={steps}", f"warmup={steps // 10}", "batch=128", "precision=float32"]
every = max(1, steps // 5)
begin = time.monotonic()
run("i2md_small", folder / "corpus", folder / "run", changes=changes, monitor=folder / "labelled.npz", save_every=every)
print(f"{steps} steps in {(time.monotonic() - begin) / 60:.1f} minutes")
log = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
for line in log:
    print(f"  step {line['step']:4}: loss {line['total']:.2f}, 1-NN {line['knn/fused']:.1f} %")

# %% [markdown]
# ## An encoder
# `export` writes weights, config and a model card. `load_pretrained` loads the folder, `push_to_hub` publishes it.
# On the command line: `skelrep export run my-encoder --licence cc0-1.0`.

# %%
export(folder / "run", folder / "my-encoder", licence=licence)
mine = load_pretrained(folder / "my-encoder")
print(mine)
print("written:", ", ".join(sorted(path.name for path in (folder / "my-encoder").iterdir())))

# %% [markdown]
# ## What has it learned?
# The baseline is the same network with random weights, which is a strong baseline because the network averages poses
# over time. The bundled encoder was trained on thirteen hours of real motion and no synthetic clips, whereas the
# synthetic corpus contains the actions of the test, performed by other persons. The brackets contain 95 % confidence
# intervals, which are wide because there are few clips.

# %%
train, test = labelled.select(split="train"), labelled.select(split="test")
accuracy = {}
for name, encoder in {"untrained": Encoder(mine.config), "yours": mine, "bundled": load_pretrained()}.items():
    result = knn_eval(encoder.embed(train), train.labels, encoder.embed(test), test.labels, k=1)
    accuracy[name] = result.accuracy[1]
    print(f"{name:10} {result}")

# %%
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
steps_taken, curve = zip((0, 100 * accuracy["untrained"]), *((line["step"], line["knn/fused"]) for line in log))
axes.plot(steps_taken, curve, marker="o", label="yours, from random weights")
axes.axhline(100 * accuracy["bundled"], color="C1", ls="--", label="bundled")
axes.set(xlabel="steps", ylabel="1-NN accuracy, per cent", title="One-second clips of new persons")
axes.legend(frameon=False)
figure.savefig(folder / "run.png", dpi=130)
print("drawn:", folder / "run.png")
