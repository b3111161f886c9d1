"""What makes pages of docs/ from the tables in the code."""
