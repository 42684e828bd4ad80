"""Images in bulk: listed from files, Parquet, COCO or object storage, and read where they are predicted."""
