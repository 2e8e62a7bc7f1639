"""The pages, one module each; `register(project)` of each makes it known."""
