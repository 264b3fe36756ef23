"""Pages as backbones want them: from a workspace, from a lone file, encoded and kept, and their geometry."""
