"""Writes the archives that the tests read: python make.py (numpy 1.24 or later)."""
import numpy as np

spikes = np.arange(4 * 5 * 3).reshape(4, 5, 3) % 4
conds = np.array(["left", "right", "left", "up"])
np.savez("padded.npz", spikes=spikes.astype(np.uint8), lengths=np.array([5, 3, 4, 5]), conds=conds,
         neurons=np.array(["a1", "a2", "b1"]), bin_width=0.02, rates=np.asfortranarray(spikes / 2), behaviour=np.zeros((4, 2)))
rows = np.concatenate([spikes[i, :n] for i, n in enumerate([5, 3, 4, 5])])
np.savez_compressed("stacked.npz", counts=rows.astype(">i2"), lengths=np.array([5, 3, 4, 5], np.int32), inputs=rows[:, :2].astype(np.float32) - 1,
                    conds=np.array([0, 1, 0, 2]))
np.savez("fortran.npz", spikes=np.asfortranarray(spikes.astype(np.float64)))
np.savez("objects.npz", spikes=np.array([spikes[0], spikes[1, :3]], dtype=object), allow_pickle=True)
np.savez("negative.npz", spikes=spikes - 1)
np.savez("half.npz", spikes=spikes * 0.5)
