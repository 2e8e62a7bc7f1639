"""The pages in the browser: forms drawn from the parameter models, jobs, tables, pictures."""
