"""What a training does to an image and its truth before the model sees them: jitter, copy-paste, a limit of pixels."""
