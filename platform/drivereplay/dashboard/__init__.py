"""What people look at: event files for TensorBoard, pictures of the front, the TensorBoard process, the static page."""
