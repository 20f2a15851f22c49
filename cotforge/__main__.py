"""`python -m cotforge`, which is what a launcher of several processes is given."""

from cotforge.cli import main

if __name__ == "__main__":
    main()
