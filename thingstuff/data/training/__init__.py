"""What a training is fed with: which images, in which order, changed how, the same again whenever it is resumed."""
