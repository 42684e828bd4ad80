"""What watches a training and acts between its steps, one matter a file."""
