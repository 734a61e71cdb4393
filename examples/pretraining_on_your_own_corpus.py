# %% [markdown]
# # Pretraining on your own corpus
#
# An encoder trained on movements like yours, without labels: from files of poses to a folder that `load_pretrained`
# takes. `pip install '.[examples]'`, then `python examples/pretraining_on_your_own_corpus.py`, which makes people up;
# and after it files for a corpus of your own, in any format that `skelrep.read` knows.
#
# It takes about ten minutes on one core of a CPU. The environment variable `SKELREP_STEPS` says how many steps to take:
# 20 make it a trial run, which learns nothing.

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

files = [] if hasattr(sys, "ps1") else sys.argv[1:]  # the arguments in a notebook are its kernel's
steps = int(os.environ.get("SKELREP_STEPS", "1000"))
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## A corpus
# All poses on the encoder's skeleton, in a folder that training maps into memory. More hours and more kinds of movement
# are better; here are 1200 clips of ten people. At the shell: `skelrep prepare FILE ... --to common-15 -o corpus`.

# %%
licence = None  # of your data and of what is made of them, as the Hub spells it; it goes into the model card
if not files:
    make_clips(1200, seed=1).save(folder / "people.npz")
    files, licence = [folder / "people.npz"], "cc0-1.0"
corpus = prepare(files, folder / "corpus", skeleton="common-15", licence=licence)
for source in corpus["sources"]:
    print(f"{source['name']}: {source['clips']} clips, {60 * source['hours']:.0f} minutes")

# %% [markdown]
# ## A run
# The recipe of the encoder in the box, made shorter: fewer and smaller steps, smaller banks of keys to contrast with,
# and float32, for not every processor is quick at bfloat16. `monitor` is a file of labelled clips to watch the run by;
# nothing is chosen by it. A run that stopped goes on where it was, if the same is called again. At the shell:
# `skelrep pretrain i2md_small --data corpus -o run --monitor judge.npz --set steps=1000 batch=128 ...`.

# %%
judge = make_clips(120).windows(1.0)  # other people, and one second only: movements need not be whole
judge.save(folder / "judge.npz")
changes = [f"steps={steps}", f"warmup={steps // 10}", "batch=128", "precision=float32"]
changes += ["method.slots=1024", "method.neighbours=512"]
every = max(1, steps // 5)
begin = time.monotonic()
run("i2md_small", folder / "corpus", folder / "run", changes=changes, monitor=folder / "judge.npz", save_every=every)
print(f"{steps} steps in {(time.monotonic() - begin) / 60:.1f} minutes")
log = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
for line in log:
    print(f"  step {line['step']:4}: loss {line['total']:.2f}, 1-NN {line['knn/fused']:.1f} %")

# %% [markdown]
# ## An encoder
# `export` writes weights, config and a model card. `load_pretrained` takes the folder, `push_to_hub` publishes it.
# At the shell: `skelrep export run my-encoder --licence cc0-1.0`.

# %%
export(folder / "run", folder / "my-encoder", licence=licence)
mine = load_pretrained(folder / "my-encoder")
print(mine)
print("written:", ", ".join(sorted(path.name for path in (folder / "my-encoder").iterdir())))

# %% [markdown]
# ## What has it learnt?
# The same network with random weights is the thing to compare with, and no weak one: it averages poses over spans of
# time. The encoder in the box has seen eleven hours of real people, but nobody made up; the made-up corpus shows the
# very actions that are asked for, done by others. Brackets hold 95 % intervals, for the clips are few.

# %%
train, test = judge.select(split="train"), judge.select(split="test")
accuracy = {}
for name, encoder in {"untrained": Encoder(mine.config), "yours": mine, "in the box": load_pretrained()}.items():
    result = knn_eval(encoder.embed(train), train.labels, encoder.embed(test), test.labels, k=1)
    accuracy[name] = result.accuracy[1]
    print(f"{name:10} {result}")

# %%
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
steps_taken, curve = zip((0, 100 * accuracy["untrained"]), *((line["step"], line["knn/fused"]) for line in log))
axes.plot(steps_taken, curve, marker="o", label="yours, from random weights")
axes.axhline(100 * accuracy["in the box"], color="C1", ls="--", label="in the box")
axes.set(xlabel="steps", ylabel="1-NN accuracy, per cent", title="One second of somebody unknown: what is it?")
axes.legend(frameon=False)
figure.savefig(folder / "run.png", dpi=130)
print("drawn:", folder / "run.png")
