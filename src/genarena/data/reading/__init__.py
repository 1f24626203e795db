"""How bytes become tensors: pictures, archives, shards, mapped arrays."""
