"""`python -m adapter` is `openway`."""

from adapter.cli import main

if __name__ == "__main__":
    main()
