"""Runtime: an exported graph in a session, as TensorFlow Serving runs it."""
