"""Client: asks TensorFlow Serving, or the development server, for predictions and explanations."""
