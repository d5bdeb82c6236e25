"""Programs that a RUN finds in place of pip and of package managers; they ask the builder."""
