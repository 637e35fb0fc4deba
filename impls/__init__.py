"""The paired implementations of the cells: PyTorch and TensorFlow twins that know no task."""
