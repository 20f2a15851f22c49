"""The kinds of teachers, a file each."""
