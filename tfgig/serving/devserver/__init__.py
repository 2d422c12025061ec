"""The development server: it answers as TensorFlow Serving does."""
