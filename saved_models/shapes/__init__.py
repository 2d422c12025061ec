"""The demonstration model: eight shapes over photographs."""
