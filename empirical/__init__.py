"""Ensembles trained with SGD, SAM and SharpBalance, and the measurement of their sharpness and diversity.

Everything measured is a function of predictions ``(members, samples, classes)`` or of one model and a fixed list of batches.
The rooms in the order of an experiment:

* ``data``: ``datasets`` (the registry; ``parsers``), ``installed``, ``loading``, ``fetching``, ``verifying``, ``splits`` (in
  memory), ``corruptions`` (made here; by family in ``corrupting``), ``corruption_files`` (published ones);
* ``models`` and ``optim``: networks, SAM, SharpBalance;
* ``adapters``: SAM in the training loops of ``lightning`` and Hugging Face's ``transformers``;
* ``runs``: ``config``, ``profiles``, ``member`` (one network), ``ensembles``, ``plan``; ``measuring`` takes all measures of a run;
* ``curvature``: measures of sharpness of one network, an estimator in each file, and their registry ``measures``;
* ``predictions``: ``metrics`` of an ensemble, ``bootstrap``, ``decompositions`` of its loss, ``uncertainty``, ``pairs`` of members,
  ``representation``, ``streaming`` (in batches), ``files``;
* ``connectivity``: the loss between members, on ``lines`` and ``planes``, with ``batch_norm`` recalibrated;
* ``lazy``: training with scaled outputs, and ``random_features``, the referee of that theory;
* ``engines``: work as a ``graph``, done by a ``pool`` of processes or on a ``cluster``;
* ``store`` and ``atomic`` (files), ``devices``, ``provenance``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
