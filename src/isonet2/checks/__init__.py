"""Data against what is declared of them: figures and findings, for every command."""
