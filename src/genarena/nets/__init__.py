"""Networks: tensors in, tensors out, no loss and no data set."""
