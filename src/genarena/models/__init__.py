"""The models, one family per folder and one model per file.

To add a model
- Write `<family>/<name>.py` with one subclass of `GenerativeModel` (`base.py`), or of a class that its family shares (a
  `NormalisingFlow`, a `LatentGAN`), or of another model: `loss`, `sample` and, where there is one, `log_prob`. What else
  it can do (encode, decode, give its conditionals) it inherits from `capabilities.py`.
- Write `conf/model/<name>.yaml` with `_target_`, `spec: ${data.spec}`, the options, and `training`.
- Nothing else is edited. The tests go over all files of `conf/model`.

To stand on a finished run (a VAE's codes, a tokenizer)
- Extend `TwoStage` (`first_stage.py`), which keeps the bound on log p(x), caches the codes and decodes samples. In the YAML:
  `first_stage: ???`, and the model of the codes as a partial node (`conf/model/latent_ddpm.yaml`).
- A model can be a first stage if it `Encodes` and `Decodes`; the pair has a likelihood if it `Infers`. A class that needs
  more says so (`needs = Quantises`, `vae/latent_ar.py`).

Rules
- The module docstring names the paper and says what differs from it; the class docstring is the objective, an equation.
- A new family is a new folder. Its `__init__.py` holds one docstring of at least 200 characters and no code: what the family
  is, its equation, its conventions.
- Code that several models of a family share lies in a file of that folder, named by a noun. A model imports from another
  model's file only the class that it extends.
- The constructor refuses data that the model cannot take (vectors, continuous data) with a ValueError of one line.
- Options use the names of the other models (`hidden_channels`, `latent_dim`, `num_blocks`, `nfe`): the tests make models
  small by these names.
"""
